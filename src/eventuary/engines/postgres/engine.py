"""The log in a PostgreSQL database, which any number of servers share; none of them is special.

What makes it right, without serializable isolation:

- **One advisory lock** (``take_turn``, in the migrations), taken first by each transaction that
  appends and held until its commit is on disk and visible. Behind it positions are given as the
  last one plus one, so they are dense, they become visible in order, and a transaction that is
  rolled back leaves no hole: a reader has nothing to wait for and nothing to guess. Behind it too
  the versions and triggers of a whole group are checked by statements that see all that was
  committed before. A group is one statement that commits itself: a server that is stopped in the
  middle of it holds nothing up.
- **Server numbers** (``membership``): a group is done only if the server's row is there, which the
  same transaction checks. So ids are unique, and a statement whose answer was lost can be ruled
  out, and looked for, before its caller is answered.
- A unique index over an entity's event ids, which would refuse what all this should let through.

Everything else is written in statements that may be done twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import asyncpg

from eventuary.engines.engine import (
    AppendCounts,
    Committed,
    DeadLetterRecord,
    LogPage,
    LogQuery,
    SubscriptionRecord,
    SwimlanePosition,
)
from eventuary.engines.postgres import subscriptions
from eventuary.engines.postgres.address import Address
from eventuary.engines.postgres.catalogue import Catalogue
from eventuary.engines.postgres.connecting import connect, disconnect
from eventuary.engines.postgres.continuity import Continuity
from eventuary.engines.postgres.database import LOST, Connection, check_server, describe
from eventuary.engines.postgres.following import Follower, channel_of, head_of
from eventuary.engines.postgres.grouping import Several, Single
from eventuary.engines.postgres.keys import PostgresKeyStore
from eventuary.engines.postgres.lane import Lane
from eventuary.engines.postgres.leasing import PostgresLeasing
from eventuary.engines.postgres.loading import Loader
from eventuary.engines.postgres.log import count_events, event_id_at, read_page
from eventuary.engines.postgres.membership import Membership
from eventuary.engines.postgres.migrated import check_is_finished
from eventuary.engines.postgres.notifying import Notifier
from eventuary.engines.postgres.publishing import Publisher
from eventuary.engines.postgres.schema import bring_up_to_date, schema_version
from eventuary.engines.postgres.snapshots import store_snapshot
from eventuary.engines.postgres.writer import Writer
from eventuary.errors import ConfigurationError, EventuaryError
from eventuary.events import Append, Appended, Entity, EntityEvent, EventType, NewSnapshot

_PROBE = "UPDATE servers SET name = name WHERE server_no = $1"


class PostgresEngine:
    """Satisfies ``Engine``. As many as you like over one database."""

    def __init__(self, address: Address, *, swimlanes: int) -> None:
        self._address = address
        self._default_swimlanes = swimlanes
        self._catalogue: Catalogue
        self._membership: Membership
        self._publisher: Publisher
        self._notifier: Notifier
        self._follower: Follower
        self._writer: Writer
        self._loader: Loader
        self._reads: Lane
        self._loads: Lane
        self._writes: Lane
        self._leases: Lane
        self._loop: asyncio.AbstractEventLoop
        self.leasing: PostgresLeasing
        self.keys = PostgresKeyStore(address)
        self.counts = AppendCounts()

    @property
    def exists(self) -> bool:
        """Whether the schema is there; of a database that can't be reached: yes, start will tell.

        Waits for the database, so it is not to be asked on a running loop.
        """

        async def ask() -> bool:
            connection = await connect(self._address)
            try:
                return await schema_version(connection, self._address.schema) > 0
            finally:
                await disconnect(connection)

        try:
            return asyncio.run(ask())
        except (*LOST, asyncpg.PostgresError):
            return True

    @property
    def head(self) -> int:
        """The position of the newest event that readers can see."""
        return self._publisher.head

    @property
    def heads(self) -> tuple[int, ...]:
        """The log is one partition."""
        return (self._publisher.head,)

    async def newest_heads(self) -> tuple[int, ...]:
        """Ask the database, and read what is not known here yet."""
        head = await self._reads.run(head_of)
        await self._publisher.reach(head)
        return (head,)

    async def start(
        self,
        on_commit: Callable[[Committed], None],
        wants_events: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """Connect, bring the schema up to date, take a server number, begin to follow the log.

        Raises ConfigurationError.
        """
        self._loop = asyncio.get_running_loop()
        self._catalogue = Catalogue(self._default_swimlanes)
        continuity = Continuity()
        self._reads = Lane(self._address, continuity, 2)
        self._loads = Lane(self._address, continuity, 3)
        self._writes = Lane(self._address, continuity, 1)
        self._leases = Lane(self._address, continuity, 2)  # a renewal does not wait for a look
        self.leasing = PostgresLeasing(self._leases)
        self._membership = Membership(self._writes, continuity)
        try:
            connection = await connect(self._address)
            try:
                await check_server(connection)
                await continuity.begin(connection)
                await bring_up_to_date(connection, self._address)
                channel = await channel_of(connection)
                await self._membership.join(connection)
                await check_is_finished(connection, self._address, self._membership.ids.server_no)
                head = await head_of(connection)
                head_id = await event_id_at(connection, head)
                await self._catalogue.load(connection)
            finally:
                await disconnect(connection)
        except (*LOST, asyncpg.PostgresError) as error:
            raise ConfigurationError(
                f"engine: {self._address.shown}: can't be opened: {describe(error)}"
            ) from error
        # Nothing below waits: no commit is told before the caller has this engine's head.
        self._publisher = Publisher(
            self._reads, self._catalogue, head, head_id, on_commit, wants_events
        )
        continuity.watch(
            lambda: (self._publisher.head, self._publisher.head_id), self._publisher.fail
        )
        self._notifier = Notifier(self._address, continuity, channel)
        self._loader = Loader(self._loads, self._catalogue)
        self._writer = Writer(
            self._address,
            continuity,
            self._catalogue,
            self._membership,
            self._publisher,
            self.counts,
            self._notifier.tell,
        )
        self._membership.start_renewing()
        self._follower = Follower(self._address, continuity, channel, self._publisher.hint)
        self._follower.start()
        self.keys.use(self._writes)

    async def stop(self) -> None:
        """Finish what has begun, give the server number up, close the connections."""
        self.keys.use(None)
        await self._writer.stop()
        await self._publisher.stop()
        await self._follower.stop()
        await self._notifier.stop()
        await self._membership.leave()
        await self._loads.stop()
        await self._reads.stop()
        await self._writes.stop()
        await self._leases.stop()

    def append(self, append: Append) -> asyncio.Future[Appended]:
        """Append to one entity."""
        future: asyncio.Future[Appended] = self._loop.create_future()
        self._writer.put(Single(append, future))
        return future

    def append_all(
        self, appends: Sequence[Append], *, atomic: bool
    ) -> asyncio.Future[list[Appended | EventuaryError]]:
        """Append to several entities in one transaction."""
        future: asyncio.Future[list[Appended | EventuaryError]] = self._loop.create_future()
        self._writer.put(Several(appends, atomic, future))
        return future

    def load(
        self, space: str, entity_type: str, entity_id: str, triggering_event_token: str | None
    ) -> asyncio.Future[Entity]:
        """Read an entity."""
        return self._loader.load(space, entity_type, entity_id, triggering_event_token)

    def history(
        self, space: str, entity_type: str, entity_id: str, after: str
    ) -> asyncio.Future[list[EntityEvent]]:
        """Read an entity's events after a version."""

        async def run() -> list[EntityEvent]:
            return (await loading).events

        loading = self._loader.load(space, entity_type, entity_id, after=after)
        return self._loop.create_task(run())

    def store_snapshot(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        snapshot: NewSnapshot,
    ) -> asyncio.Future[None]:
        """Store a snapshot as of a version."""
        return self._writes.run(
            partial(
                store_snapshot,
                space=space,
                entity_type=entity_type,
                entity_id=entity_id,
                entity_version=entity_version,
                snapshot=snapshot,
            )
        )

    def read_log(self, query: LogQuery) -> asyncio.Future[LogPage]:
        """Read a page of the log."""
        return self._reads.run(
            partial(read_page, catalogue=self._catalogue, query=query, until=self._end(query))
        )

    def count(self, query: LogQuery, cap: int) -> asyncio.Future[int]:
        """Count what a query selects."""
        return self._reads.run(
            partial(
                count_events,
                catalogue=self._catalogue,
                query=query,
                until=self._end(query),
                cap=cap,
            )
        )

    def event_types(self, space: str) -> list[EventType]:
        """Return the event types of a space."""
        return self._catalogue.event_types(space)

    def swimlanes(self, space: str) -> int:
        """Return the number of swimlanes of a space."""
        return self._catalogue.swimlanes(space)

    def probe(self) -> asyncio.Future[None]:
        """Write this server's row again."""

        async def run(connection: Connection) -> None:
            await connection.execute(_PROBE, self._membership.ids.server_no)

        return self._writes.run(run)

    def load_subscriptions(
        self, space: str | None, subscriber_id: str | None = None
    ) -> asyncio.Future[list[SubscriptionRecord]]:
        """Return stored subscriptions."""
        return self._reads.run(
            partial(subscriptions.load_subscriptions, space=space, subscriber_id=subscriber_id)
        )

    def create_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Create a subscription."""
        return self._writes.run(
            partial(subscriptions.create_subscription, catalogue=self._catalogue, record=record)
        )

    def change_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Store selection, policy and pause."""
        return self._writes.run(partial(subscriptions.change_subscription, record=record))

    def store_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Create or replace a subscription."""
        return self._writes.run(
            partial(subscriptions.store_subscription, catalogue=self._catalogue, record=record)
        )

    def delete_subscription(self, space: str, subscriber_id: str) -> asyncio.Future[None]:
        """Forget a subscription."""
        return self._writes.run(
            partial(subscriptions.delete_subscription, space=space, subscriber_id=subscriber_id)
        )

    def store_positions(self, positions: Sequence[SwimlanePosition]) -> asyncio.Future[None]:
        """Store positions."""
        return self._writes.run(
            partial(subscriptions.store_positions, positions=positions, holder=self.leasing.number)
        )

    def load_dead_letters(
        self, space: str, subscriber_id: str
    ) -> asyncio.Future[list[DeadLetterRecord]]:
        """Return a subscription's dead letters."""
        return self._reads.run(
            partial(subscriptions.load_dead_letters, space=space, subscriber_id=subscriber_id)
        )

    def count_dead_letters(self) -> asyncio.Future[dict[tuple[str, str], int]]:
        """Count dead letters."""
        return self._reads.run(subscriptions.count_dead_letters)

    def store_dead_letter(
        self, record: DeadLetterRecord, epoch: int | None = None
    ) -> asyncio.Future[None]:
        """Park an event."""
        return self._writes.run(
            partial(
                subscriptions.store_dead_letter,
                record=record,
                epoch=epoch,
                holder=self.leasing.number,
            )
        )

    def delete_dead_letter(
        self, space: str, subscriber_id: str, position: int
    ) -> asyncio.Future[None]:
        """Forget a dead letter."""
        return self._writes.run(
            partial(
                subscriptions.delete_dead_letter,
                space=space,
                subscriber_id=subscriber_id,
                position=position,
            )
        )

    def _end(self, query: LogQuery) -> int:
        head = self._publisher.head
        return head if query.until is None else min(query.until, head)
