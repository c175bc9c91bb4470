"""Appends on their way into the log: each is a message, or an atomic batch of some.

Those of one entity take turns, as only one could be stored anyway; all others are under way
together, which is what makes a cluster fast. An answer that got lost is no riddle: the same
messages are published again under the same check, which holds if and only if nothing of the entity
was stored meanwhile; if it does not, the entity's history tells whose it was.

Only that they were stored can be believed. That they were not may be the answer of a leader that
was deposed and does not know it yet: JetStream gives what is published to each node that takes
itself for the leader, and the other one may have stored them. So nobody is told of a conflict
before the history was searched for what was published.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from eventuary.engines.engine import AppendCounts
from eventuary.engines.jetstream.api import (
    EXPECTED,
    WRONG_LAST_SEQUENCE,
    ApiError,
    PublishAnswer,
    Refused,
    publish,
)
from eventuary.engines.jetstream.batches import (
    MOST_MESSAGES,
    MOST_OPEN,
    is_to_be_sent_again,
    publish_batch,
)
from eventuary.engines.jetstream.catalogue import Catalogue
from eventuary.engines.jetstream.entities import Entities
from eventuary.engines.jetstream.partitions import Partition
from eventuary.engines.jetstream.places import Places
from eventuary.engines.jetstream.planning import Item, NewMessage, Plan, Planner
from eventuary.engines.jetstream.publishing import Publisher
from eventuary.engines.jetstream.server_ids import ServerIds
from eventuary.engines.jetstream.snapshots import Snapshots
from eventuary.engines.jetstream.turns import Turns, in_time
from eventuary.engines.jetstream.wire import Lost, Wire
from eventuary.errors import (
    BadRequest,
    Conflict,
    EventuaryError,
    PayloadTooLarge,
    ServiceUnavailable,
)
from eventuary.events import Append, Appended, LogEvent
from eventuary.seldom import Seldom
from eventuary.swimlanes import swimlane_of

_log = logging.getLogger("eventuary.jetstream")

#: Appends of one event that are under way at once.
_MOST_SINGLE = 512

#: Seconds for which an append waits and is tried: a new leader is elected in less.
_PATIENCE = 15.0

#: Seconds until an append is tried again, at first and at most.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25

#: Bytes of a message besides its payload: headers and subject.
_ENVELOPE = 2048


class _Moved(Exception):
    """The check has failed: by what others have stored, or by what was published here before."""


class Writer:
    """Appends. ``stop`` waits for what is under way."""

    def __init__(
        self,
        wire: Wire,
        places: Places,
        catalogue: Catalogue,
        entities: Entities,
        snapshots: Snapshots,
        ids: ServerIds,
        publishers: Sequence[Publisher],
        counts: AppendCounts,
    ) -> None:
        self._wire = wire
        self._places = places
        self._catalogue = catalogue
        self._entities = entities
        self._snapshots = snapshots
        self._ids = ids
        self._publishers = publishers
        self._counts = counts
        self._planner = Planner(entities, ids)
        self._turns = Turns()
        self._singles = asyncio.Semaphore(_MOST_SINGLE)
        self._batches = [asyncio.Semaphore(MOST_OPEN) for _ in places.partitions]
        self._tasks: set[asyncio.Task[Any]] = set()
        self._complaints = Seldom()
        self._complained = False  # and nothing has been written since

    def append(self, append: Append) -> asyncio.Future[Appended]:
        """Append to one entity."""

        async def run() -> Appended | EventuaryError:
            deadline = _deadline()
            [outcome] = await self._commit(await self._items([append]), deadline)
            return outcome

        return self._begin(run(), [append])

    def append_all(
        self, appends: Sequence[Append], *, atomic: bool
    ) -> asyncio.Future[list[Appended | EventuaryError]]:
        """Append to several entities: in one atomic step, or each for itself.

        Each for itself: those of one entity in the order in which they are given.
        """

        async def in_one_step() -> list[Appended | EventuaryError]:
            deadline = _deadline()
            return await self._commit(await self._items(appends), deadline)

        async def each_for_itself() -> list[Appended | EventuaryError]:
            deadline = _deadline()
            # Each has its items before the next begins: then turns are had in the order of tasks.
            tasks = [await self._begin_alone(append, deadline) for append in appends]
            return await asyncio.gather(*tasks)

        return self._begin(in_one_step() if atomic else each_for_itself(), appends)

    async def stop(self) -> None:
        """Finish what is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, run: Any, appends: Sequence[Append]) -> asyncio.Future[Any]:
        """Run it, though its caller may go away; the future has what it returns or raises."""
        counts = self._counts
        counts.waiting += len(appends)
        characters = sum(append.characters for append in appends)
        counts.waiting_characters += characters
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(run)
        self._tasks.add(task)

        def done(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            counts.waiting -= len(appends)
            counts.waiting_characters -= characters
            outcome = _outcome_of(task)
            for each in outcome if isinstance(outcome, list) else [outcome] * len(appends):
                self._count(each)
            if future.done():
                return  # its caller went away; the append stands
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        task.add_done_callback(done)
        return future

    def _count(self, outcome: object) -> None:
        if isinstance(outcome, Appended):
            self._counts.appends += 1
            if self._complained:
                self._complained = False
                _log.info("appends are taken again")
        elif isinstance(outcome, Conflict):
            self._counts.conflicts += 1
        elif isinstance(outcome, ServiceUnavailable):
            self._counts.failures += 1
            if self._complaints.due() is not None:
                self._complained = True
                _log.warning("appends are answered 503: %s", outcome)

    async def _begin_alone(
        self, append: Append, deadline: float
    ) -> asyncio.Future[Appended | EventuaryError]:
        """Begin one of several appends; returns when it waits for nothing but its turn."""

        async def run(items: Sequence[Item]) -> Appended | EventuaryError:
            try:
                [outcome] = await self._commit(items, deadline)
            except EventuaryError as error:
                return error
            return outcome

        try:
            items = await self._items([append])
        except EventuaryError as error:
            refused: asyncio.Future[Appended | EventuaryError]
            refused = asyncio.get_running_loop().create_future()
            refused.set_result(error)
            return refused
        return asyncio.create_task(run(items))

    async def _commit(
        self, items: Sequence[Item], deadline: float
    ) -> list[Appended | EventuaryError]:
        """Append in one atomic step, or refuse."""
        known_to_others = sorted({item.subject for item in items if not item.is_new})
        published: list[Plan] = []
        try:
            async with self._turns.of(known_to_others, deadline):
                return await self._commit_in_turn(items, published, deadline)
        except ServiceUnavailable as error:
            known = "it is not known whether this" if published else "nothing"
            raise ServiceUnavailable(f"{error}; {known} was written") from error

    async def _items(self, appends: Sequence[Append]) -> list[Item]:
        """Give ids and subjects, all of one partition. Raises BadRequest when they are not."""
        partition: Partition | None = None
        for append in appends:
            try:
                if append.expected_version is None:
                    await self._catalogue.learn_space(append.space)
                else:
                    await self._places.know(append.space)
            except ServiceUnavailable as error:
                raise ServiceUnavailable(f"{error}; nothing was written") from error
            if append.entity_id is not None:
                place = self._places.partition(append.space, append.entity_type, append.entity_id)
                if partition not in (None, place):
                    raise BadRequest(
                        f"entityId: {append.entity_type} {append.entity_id!r} is in another "
                        f"partition of the log than an entity before it (streams: "
                        f"{place.count}), and what is appended atomically must be in one"
                    )
                partition = place
        return [self._item(append, partition) for append in appends]

    def _item(self, append: Append, partition: Partition | None) -> Item:
        """Return an append with its subject. A new id is chosen so that it is in the partition."""
        entity_id = append.entity_id
        while entity_id is None:
            new = self._ids.next_id()
            place = self._places.partition(append.space, append.entity_type, new)
            if partition in (None, place):
                entity_id = new
        subject = self._places.subject(append.space, append.entity_type, entity_id)
        return Item(append, entity_id, subject)

    async def _commit_in_turn(
        self, items: Sequence[Item], published: list[Plan], deadline: float
    ) -> list[Appended | EventuaryError]:
        """``published`` gets the plans of which anything may be stored."""
        while True:
            plan = await self._prepare(items, certain=bool(published))
            if plan.refusals:
                stored = await self._find(published)
                if stored is None:
                    return plan.refused()
                plan, last = stored
            else:
                try:
                    last = await self._publish(plan, published, deadline)
                except _Moved:
                    if asyncio.get_running_loop().time() > deadline:
                        raise ServiceUnavailable("storage: others were faster each time") from None
                    continue
            await self._stored(plan, items, last)
            return list(plan.outcomes)

    async def _prepare(self, items: Sequence[Item], *, certain: bool) -> Plan:
        """Return a plan, refused or ready to be published."""
        plan = await self._planner.plan(items, certain=certain)
        if not plan.refusals:
            self._check_sizes(plan)
            for item in items:
                await self._catalogue.register(item.append)
        return plan

    def _check_sizes(self, plan: Plan) -> None:
        """Raise BadRequest for what JetStream can't take in one step."""
        if len(plan.messages) > MOST_MESSAGES:
            raise BadRequest(
                f"events: {len(plan.messages)} events, and JetStream stores {MOST_MESSAGES} at "
                "most in one atomic step"
            )
        most = self._wire.most_payload - _ENVELOPE
        for message in plan.messages:
            if len(message.payload) > most:
                raise PayloadTooLarge(
                    f"events: one has {len(message.payload)} bytes as it is stored, over the "
                    f"limit of {most} bytes (the cluster's max_payload less {_ENVELOPE})"
                )

    async def _publish(self, plan: Plan, published: list[Plan], deadline: float) -> int:
        """Publish; returns the sequence of the last. Raises _Moved, ServiceUnavailable."""
        single = len(plan.messages) == 1
        number = self._places.partition_of(plan.messages[0].subject).number
        places = self._singles if single else self._batches[number]
        await in_time(places, deadline)
        try:
            return await self._publish_until_told(plan, published, deadline)
        finally:
            places.release()

    async def _publish_until_told(self, plan: Plan, published: list[Plan], deadline: float) -> int:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        is_sent = False
        while True:
            await self._wire.is_there(max(0.0, deadline - loop.time()))
            if not is_sent:
                is_sent = True
                published.append(plan)
            try:
                answer = await self._send(plan.messages)
            except Lost as error:
                answer = PublishAnswer(error=ApiError(503, 0, str(error)))
            if answer.error is None:
                return answer.seq
            if answer.error.err_code == WRONG_LAST_SEQUENCE:
                raise _Moved
            if not is_to_be_sent_again(answer.error):
                raise ServiceUnavailable(f"storage: {Refused(answer.error)}")
            if loop.time() + pause > deadline:
                raise ServiceUnavailable(f"storage: {answer.error.description}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _send(self, messages: Sequence[NewMessage]) -> PublishAnswer:
        if len(messages) == 1:
            [message] = messages
            return await publish(self._wire, message.subject, message.payload, _check(message))
        return await publish_batch(
            self._wire, [(each.subject, each.payload, _check(each)) for each in messages]
        )

    async def _find(self, published: Sequence[Plan]) -> tuple[Plan, int] | None:
        """Return the plan that was stored, and the sequence of its last message; None: none was.

        Asked when the entity is known to have moved on, so that none of them can be any more.
        """
        if not published:
            return None
        first = published[0].messages[0]
        history = await self._entities.history(first.subject, first.expected or 0)
        by_id = {plan.outcomes[0].event_ids[0]: plan for plan in published}
        for sequence, stored in history.events:
            plan = by_id.get(stored.event_id)
            if plan is not None:
                return plan, sequence + len(plan.messages) - 1
        return None

    async def _stored(self, plan: Plan, items: Sequence[Item], last: int) -> None:
        """Tell what is stored now; then it may be answered."""
        first = last - len(plan.messages) + 1
        for subject, (index, known) in plan.after.items():
            known.sequence = first + index
            self._entities.note(subject, known)
        self._counts.groups += 1
        self._counts.appended_events += len(plan.messages)
        partition = self._places.partition_of(items[0].subject)
        await self._publishers[partition.number].tell(
            first, self._events(plan, items, first, partition)
        )
        for item, outcome in zip(items, plan.outcomes, strict=True):
            snapshot = item.append.snapshot
            if snapshot is not None:
                sequence = plan.after[item.subject][1].sequence
                await self._snapshots.keep(
                    item.append, item.entity_id, outcome.entity_version, sequence, snapshot
                )

    def _events(
        self, plan: Plan, items: Sequence[Item], first: int, partition: Partition
    ) -> list[LogEvent]:
        events: list[LogEvent] = []
        position = partition.position(first)
        for item, outcome in zip(items, plan.outcomes, strict=True):
            append = item.append
            swimlanes = self._catalogue.swimlanes(append.space)
            swimlane = swimlane_of(append.entity_type, item.entity_id, swimlanes)
            for event, event_id in zip(append.events, outcome.event_ids, strict=True):
                events.append(
                    LogEvent(
                        position,
                        event_id,
                        append.space,
                        append.entity_type,
                        item.entity_id,
                        event.event_type,
                        event.event_data,
                        event.metadata,
                        swimlane,
                        append.triggering_event_token,
                    )
                )
                position += partition.count
        return events


def _deadline() -> float:
    """Until when an append that comes now is tried, by the loop's clock."""
    return asyncio.get_running_loop().time() + _PATIENCE


def _check(message: NewMessage) -> dict[str, str]:
    return {} if message.expected is None else {EXPECTED: str(message.expected)}


def _outcome_of(task: asyncio.Task[Any]) -> Any:
    """Return a task's result, or what it has raised, as an error that its caller is told."""
    if task.cancelled():
        return ServiceUnavailable("storage: the server was stopped; this may have been written")
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, EventuaryError):
        return error
    _log.error("an append failed unexpectedly; it may have been written", exc_info=error)
    failure = ServiceUnavailable(
        "an unexpected error; the log has it; it is not known whether this was written"
    )
    failure.__cause__ = error
    return failure
