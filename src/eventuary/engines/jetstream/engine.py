"""The log in a JetStream cluster, replicated by Raft; our servers in front of it keep no state.

What makes it right:

- **The version check is JetStream's** (``Nats-Expected-Last-Subject-Sequence``): an entity's
  events are the messages of one literal subject, and an append names the sequence of the last.
  Several events are an atomic batch. What this server remembers of an entity saves questions, no
  more.
- **A read is no older than what was acknowledged before it**, and never sees what another then does
  not: reads and appends of an entity are linearizable, whatever nodes are down, cut off or stood
  still (``leadership`` says what this rests on). So is ``newest_head``. This needs a user of the
  system account in the URL (``address``); without one, a leader that was deposed and does not know
  it is believed, for up to ten seconds. Pages of the log, subscriptions and keys are read without
  this: they may be a little old, and are never of different stories.
- **A position is a sequence** of the log's stream: given by its leader, seen once Raft has
  committed it, dense. All servers see one order. A log may be in several streams, each an order of
  its own, for what is too much for one leader (``partitions``).
- **The trigger check needs nothing besides** (``triggers``): a history that the version check has
  fixed decides it.
- Subscriptions, leases, keys and snapshots are cells of a second stream, changed by whoever names
  the change before (``cells``).

Nothing of a cluster is written here: who leads, what is replicated and what is synced is the
nodes' doing, and they must be configured for it (``sync_interval: always``, three replicas).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from eventuary.engines.engine import (
    AppendCounts,
    Committed,
    DeadLetterRecord,
    LogPage,
    LogQuery,
    SubscriptionRecord,
    SwimlanePosition,
)
from eventuary.engines.jetstream.address import Address
from eventuary.engines.jetstream.api import Refused, persevere
from eventuary.engines.jetstream.catalogue import Catalogue
from eventuary.engines.jetstream.cells import Cells, Change
from eventuary.engines.jetstream.entities import Entities
from eventuary.engines.jetstream.isolation import Isolation, leads_most
from eventuary.engines.jetstream.keys import JetStreamKeyStore
from eventuary.engines.jetstream.leaders import Leaders
from eventuary.engines.jetstream.leasing import JetStreamLeasing
from eventuary.engines.jetstream.loading import Loader
from eventuary.engines.jetstream.log import Log
from eventuary.engines.jetstream.migrated import join
from eventuary.engines.jetstream.newest import Newest
from eventuary.engines.jetstream.partitions import Partition, partitions_of
from eventuary.engines.jetstream.places import Places
from eventuary.engines.jetstream.presence import Presence
from eventuary.engines.jetstream.publishing import Publisher
from eventuary.engines.jetstream.safety import dangers
from eventuary.engines.jetstream.server_ids import ServerIds
from eventuary.engines.jetstream.snapshots import Snapshots
from eventuary.engines.jetstream.streams import info, last_sequence, make_streams
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.subscriptions import Subscriptions
from eventuary.engines.jetstream.wire import Lost, Wire
from eventuary.engines.jetstream.writer import Writer
from eventuary.errors import ConfigurationError, EventuaryError, ServiceUnavailable
from eventuary.events import Append, Appended, Entity, EntityEvent, EventType, NewSnapshot

_log = logging.getLogger("eventuary.jetstream")

_Result = TypeVar("_Result")


class JetStreamEngine:
    """Satisfies ``Engine``. As many as you like over one log."""

    def __init__(self, address: Address, *, swimlanes: int, accept_data_loss: bool = False) -> None:
        self._address = address
        self._accept_data_loss = accept_data_loss
        self._default_swimlanes = swimlanes
        self._subjects = Subjects(address.name)
        self._wire: Wire
        #: The system user's connection.
        self._leaders: Leaders
        self._newest: list[Newest] = []
        self._cells: Cells
        self._catalogue: Catalogue
        self._entities: Entities
        self._snapshots: Snapshots
        self._loader: Loader
        self._partitions: tuple[Partition, ...] = ()
        self._logs: list[Log] = []
        self._publishers: list[Publisher] = []
        self._writer: Writer
        self._subscriptions: Subscriptions
        self._presence: Presence
        self._isolation: Isolation
        self._appends_before = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self.leasing: JetStreamLeasing
        self.keys = JetStreamKeyStore(address, self._subjects)
        self.counts = AppendCounts()

    @property
    def exists(self) -> bool:
        """Whether the log is there; of a cluster that can't be reached: yes, start will tell.

        Waits for the cluster, so it is not to be asked on a running loop.
        """

        async def ask() -> bool:
            wire = Wire(self._address)
            await wire.open()
            try:
                [alone] = partitions_of(self._address.name, 1)
                found = await persevere(wire, lambda: info(wire, alone.stream))
            finally:
                await wire.close()
            return found is not None

        try:
            return asyncio.run(ask())
        except (ConfigurationError, ServiceUnavailable, Refused):
            return True

    @property
    def head(self) -> int:
        """The position of the newest event that readers can see, of the first partition."""
        return self.heads[0]

    @property
    def heads(self) -> tuple[int, ...]:
        """Of each partition."""
        return tuple(
            partition.position(publisher.head)
            for partition, publisher in zip(self._partitions, self._publishers, strict=True)
        )

    async def newest_heads(self) -> tuple[int, ...]:
        """Learn how far the log reaches as of now, and read what is not known here yet."""
        try:
            heads = await asyncio.gather(
                *(persevere(self._wire, each.sequence) for each in self._newest)
            )
        except Refused as error:
            raise ServiceUnavailable(f"storage: {error}") from error
        for publisher, head in zip(self._publishers, heads, strict=True):
            await publisher.reach(head)
        return tuple(
            partition.position(head)
            for partition, head in zip(self._partitions, heads, strict=True)
        )

    async def start(
        self,
        on_commit: Callable[[Committed], None],
        wants_events: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """Connect, make the streams if they are not there, begin to follow the log.

        Raises ConfigurationError.
        """
        wire = self._wire = Wire(self._address)
        self._leaders = Leaders(wire, self._address)
        subjects = self._subjects
        await wire.open()
        try:
            self._partitions, streams = await make_streams(wire, subjects, self._address)
            self._check_partitions()
            self._judge(await dangers(self._address, streams))
            self._cells = Cells(wire, subjects)
            await self._cells.prepare()
            self._presence, number = await join(wire, self._cells, subjects, self._address.shown)
            ids = ServerIds(number)
            self._catalogue = Catalogue(self._cells, subjects, self._default_swimlanes)
            await self._catalogue.load()
            places = Places(self._partitions, self._catalogue)
            await self._leaders.follow(streams[: len(self._partitions)])
            self._newest = [
                Newest(wire, partition.stream, leadership)
                for partition, leadership in zip(self._partitions, self._leaders.each, strict=True)
            ]
            self._entities = Entities(wire, places, self._newest)
            self._logs = [
                Log(wire, each, self._catalogue, self._entities) for each in self._partitions
            ]
            self._publishers = [
                Publisher(wire, each, log, await self._head_of(each), on_commit, wants_events)
                for each, log in zip(self._partitions, self._logs, strict=True)
            ]
            for publisher in self._publishers:
                await publisher.start()
        except (EventuaryError, Lost, Refused) as error:
            await self._leaders.stop()
            await wire.close()
            raise ConfigurationError(
                f"engine: {self._address.shown}: can't be opened: {error}"
            ) from error
        except BaseException:
            await self._leaders.stop()
            await wire.close()
            raise
        self._snapshots = Snapshots(self._cells, subjects, self._catalogue, places, self._entities)
        self._loader = Loader(self._entities, places, self._snapshots, ids)
        self._subscriptions = Subscriptions(self._cells, subjects, self._catalogue)
        self.leasing = JetStreamLeasing(self._cells, subjects, self._subscriptions)
        self._writer = Writer(
            wire,
            places,
            self._catalogue,
            self._entities,
            self._snapshots,
            ids,
            self._publishers,
            self.counts,
        )
        self.keys.use(self._cells)
        # Of many partitions one is enough to know; nothing goes on without the other stream.
        names = [streams[0].config.name, streams[-1].config.name]
        self._isolation = Isolation(wire, lambda: self._hears_most(names))

    async def stop(self) -> None:
        """Finish what has begun, and close the connection."""
        self.keys.use(None)
        await self._writer.stop()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self.leasing.stop()
        for publisher in self._publishers:
            await publisher.stop()
        await self._presence.go()
        await self._isolation.stop()
        await self._leaders.stop()
        await self._wire.close()

    def append(self, append: Append) -> asyncio.Future[Appended]:
        """Append to one entity."""
        return self._writer.append(append)

    def append_all(
        self, appends: Sequence[Append], *, atomic: bool
    ) -> asyncio.Future[list[Appended | EventuaryError]]:
        """Append to several entities: in one atomic batch, or each for itself."""
        return self._writer.append_all(appends, atomic=atomic)

    def load(
        self, space: str, entity_type: str, entity_id: str, triggering_event_token: str | None
    ) -> asyncio.Future[Entity]:
        """Read an entity."""
        return self._run(self._loader.load(space, entity_type, entity_id, triggering_event_token))

    def history(
        self, space: str, entity_type: str, entity_id: str, after: str
    ) -> asyncio.Future[list[EntityEvent]]:
        """Read an entity's events after a version."""
        return self._run(self._loader.history(space, entity_type, entity_id, after))

    def store_snapshot(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        snapshot: NewSnapshot,
    ) -> asyncio.Future[None]:
        """Store a snapshot as of a version."""
        return self._run(
            self._snapshots.store(space, entity_type, entity_id, entity_version, snapshot)
        )

    def read_log(self, query: LogQuery) -> asyncio.Future[LogPage]:
        """Read a page of the log."""
        number = query.partition
        return self._run(self._logs[number].page(query, self._publishers[number].head))

    def count(self, query: LogQuery, cap: int) -> asyncio.Future[int]:
        """Count what a query selects."""
        number = query.partition
        return self._run(self._logs[number].count(query, self._publishers[number].head, cap))

    def event_types(self, space: str) -> list[EventType]:
        """Return the event types of a space."""
        return self._catalogue.event_types(space)

    def swimlanes(self, space: str) -> int:
        """Return the number of swimlanes of a space."""
        return self._catalogue.swimlanes(space)

    def probe(self) -> asyncio.Future[None]:
        """Write a cell that nobody reads."""

        async def run() -> None:
            await self._cells.put(Change(self._subjects.cell("probe"), b"", None))

        return self._run(run())

    def load_subscriptions(
        self, space: str | None, subscriber_id: str | None = None
    ) -> asyncio.Future[list[SubscriptionRecord]]:
        """Return stored subscriptions."""
        return self._run(self._subscriptions.load(space, subscriber_id))

    def create_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Create a subscription."""
        return self._run(self._subscriptions.create(record))

    def change_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Store selection, policy and pause."""
        return self._run(self._subscriptions.change(record))

    def store_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Create or replace a subscription."""
        return self._run(self._subscriptions.store(record))

    def delete_subscription(self, space: str, subscriber_id: str) -> asyncio.Future[None]:
        """Forget a subscription."""
        return self._run(self._subscriptions.delete(space, subscriber_id))

    def store_positions(self, positions: Sequence[SwimlanePosition]) -> asyncio.Future[None]:
        """Store positions."""
        return self._run(self._subscriptions.store_positions(positions, self.leasing.number))

    def load_dead_letters(
        self, space: str, subscriber_id: str
    ) -> asyncio.Future[list[DeadLetterRecord]]:
        """Return a subscription's dead letters."""
        return self._run(self._subscriptions.dead_letters(space, subscriber_id))

    def count_dead_letters(self) -> asyncio.Future[dict[tuple[str, str], int]]:
        """Count dead letters."""

        async def run() -> dict[tuple[str, str], int]:
            counts: dict[tuple[str, str], int] = {}
            for record in await self._subscriptions.dead_letters(None, None):
                name = (record.space, record.subscriber_id)
                counts[name] = counts.get(name, 0) + 1
            return counts

        return self._run(run())

    def store_dead_letter(
        self, record: DeadLetterRecord, epoch: int | None = None
    ) -> asyncio.Future[None]:
        """Park an event."""
        return self._run(self._subscriptions.store_dead_letter(record, epoch, self.leasing.number))

    def delete_dead_letter(
        self, space: str, subscriber_id: str, position: int
    ) -> asyncio.Future[None]:
        """Forget a dead letter."""
        return self._run(self._subscriptions.delete_dead_letter(space, subscriber_id, position))

    def _judge(self, found: list[str]) -> None:
        """Refuse a cluster that could lose events, unless that is accepted."""
        if not found:
            return
        what = "; ".join(found)
        if not self._accept_data_loss:
            raise ConfigurationError(
                f"engine: {self._address.shown}: events could be lost: {what}; set it right, or "
                "start with --accept-data-loss"
            )
        _log.warning("events could be lost: %s", what)

    def _check_partitions(self) -> None:
        count = len(self._partitions)
        if count > self._default_swimlanes:
            raise ConfigurationError(
                f"engine: {self._address.shown}: streams: {count} are more than the "
                f"{self._default_swimlanes} swimlanes of a space, and some would stay empty: an "
                f"entity is in the stream of its swimlane; start with --swimlanes {count} or more"
            )

    async def _head_of(self, partition: Partition) -> int:
        wire = self._wire
        return await persevere(wire, lambda: last_sequence(wire, partition.stream))

    async def _hears_most(self, streams: Sequence[str]) -> bool:
        """Whether most nodes are heard: they are, as long as appends are stored."""
        before, self._appends_before = self._appends_before, self.counts.appends
        return self.counts.appends > before or await leads_most(self._wire, streams)

    def _run(self, job: Coroutine[Any, Any, _Result]) -> asyncio.Future[_Result]:
        """Begin a job at once; its caller may go away."""
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(job)
        self._tasks.add(task)

        def done(task: asyncio.Task[_Result]) -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, EventuaryError):
                _log.error("a call failed unexpectedly", exc_info=error)
                error = ServiceUnavailable("an unexpected error; the log has it")
            if future.done():
                return
            if task.cancelled():
                future.cancel()
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(task.result())

        task.add_done_callback(done)
        return future
