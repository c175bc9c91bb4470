"""The event store in this process: an engine, and delivery on top of it.

Everything is checked here, so that neither a wire above nor an engine below has to; and what waits
for the disk is bounded here, so that overload is told to callers and not to memory.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from eventuary.delivery.consumer import AckMode, Consumer, Receiver
from eventuary.delivery.dispatcher import Dispatcher
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.delivery.statistics import Statistics
from eventuary.delivery.status import SubscriptionStatus
from eventuary.delivery.subscriptions import Subscriptions
from eventuary.engines.engine import Committed, Engine, LogPage, LogQuery
from eventuary.errors import (
    BadRequest,
    ConfigurationError,
    EventuaryError,
    NotFound,
    ServiceUnavailable,
)
from eventuary.event_store import Durability, ReadFrom
from eventuary.events import Append, Appended, Entity, EntityEvent, NewEvent, NewSnapshot
from eventuary.ids import ZERO_ID, parse_id
from eventuary.limits import Limits
from eventuary.validation import (
    check_entity_id,
    check_entity_type,
    check_selection,
    check_snapshot,
    check_space,
    check_subscriber_id,
    check_token,
    check_wait,
    checked,
)

_Outcome = Appended | EventuaryError


class EmbeddedEventStore:
    """Satisfies ``EventStore``; offers the server also the log and the operator's verbs."""

    def __init__(
        self,
        engine: Engine,
        *,
        limits: Limits | None = None,
        policy: DeliveryPolicy | None = None,
    ) -> None:
        self.engine = engine
        self.limits = limits or Limits()
        self._dispatcher = Dispatcher(engine, policy or DeliveryPolicy())
        self._dispatcher.policy.check()
        self.subscriptions = Subscriptions(self._dispatcher)
        self._followers: set[asyncio.Future[None]] = set()
        self._open = False
        self._stopping = False

    @property
    def head(self) -> int:
        """The position of the newest event; where the log has partitions, of the first."""
        return self.engine.head

    @property
    def events(self) -> int:
        """How many events the log has."""
        heads = self.engine.heads
        return sum((head - each) // len(heads) for each, head in enumerate(heads))

    @property
    def policy(self) -> DeliveryPolicy:
        """The rules of delivery of subscriptions that set none of their own."""
        return self._dispatcher.policy

    @property
    def statistics(self) -> Statistics:
        """What has happened since the start."""
        return self._dispatcher.statistics

    @property
    def waiting_appends(self) -> int:
        """How many appends wait for the disk."""
        return self.engine.counts.waiting

    @property
    def consumers(self) -> int:
        """How many consumers are connected."""
        return sum(len(each.consumptions) for each in self._dispatcher.open_subscriptions())

    @property
    def tail_events(self) -> int:
        """How many of the newest events are in memory."""
        return sum(len(tail) for tail in self._dispatcher.tails)

    async def __aenter__(self) -> Self:
        """Open the engine. Raises ConfigurationError."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything."""
        await self.stop("the event store is closing")

    async def start(self) -> None:
        """Open the engine. Raises ConfigurationError."""
        if self._open:
            raise ConfigurationError("the event store is open already")
        await self.engine.start(self._committed, self._dispatcher.wants_events)
        self._stopping = False
        self._dispatcher.start()
        self._open = True

    async def stop(self, reason: str = "the server is shutting down") -> None:
        """Tell consumers and followers, make everything durable, close the engine."""
        self._stopping = True
        self._wake_followers()
        await self._dispatcher.stop(reason)
        self._open = False
        await self.engine.stop()

    def create(
        self,
        space: str,
        entity_type: str,
        events: Sequence[NewEvent],
        *,
        entity_id: str | None = None,
        triggering_event_token: str | None = None,
    ) -> asyncio.Future[Appended]:
        """Create an entity. BadRequest and ServiceUnavailable come before there is a future."""
        return self._append(
            Append(space, entity_type, entity_id, None, events, triggering_event_token)
        )

    def append(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        events: Sequence[NewEvent],
        *,
        triggering_event_token: str | None = None,
        snapshot: NewSnapshot | None = None,
    ) -> asyncio.Future[Appended]:
        """Append to an entity. BadRequest and ServiceUnavailable come before there is a future."""
        return self._append(
            Append(
                space,
                entity_type,
                entity_id,
                entity_version,
                events,
                triggering_event_token,
                snapshot,
            )
        )

    def append_all(
        self, appends: Sequence[Append], *, atomic: bool
    ) -> asyncio.Future[list[_Outcome]]:
        """Append to several entities in one transaction; one outcome each, in order.

        Raises BadRequest, naming the append, when any of them is malformed: then none is done.
        """
        if not appends:
            raise BadRequest("appends: is empty; a call has at least one append")
        if len(appends) > self.limits.appends_per_call:
            raise BadRequest(
                f"appends: {len(appends)} appends, over the limit appends_per_call of "
                f"{self.limits.appends_per_call}"
            )
        good = []
        for number, append in enumerate(appends):
            try:
                good.append(checked(append, self.limits))
            except BadRequest as error:
                raise BadRequest(f"appends[{number}].{error}") from None
        self._admit(len(good), sum(append.characters for append in good))
        return self.engine.append_all(good, atomic=atomic)

    def history(
        self, space: str, entity_type: str, entity_id: str, *, after: str | None = None
    ) -> asyncio.Future[list[EntityEvent]]:
        """Read an entity's events. Raises BadRequest before there is a future."""
        check_space(space)
        check_entity_type(entity_type)
        check_entity_id(entity_id)
        after = ZERO_ID if after is None else parse_id(after, "after")
        self.statistics.loads += 1
        self._require_open()
        return self.engine.history(space, entity_type, entity_id, after)

    def store_snapshot(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        snapshot: NewSnapshot,
    ) -> asyncio.Future[None]:
        """Keep a state. Raises BadRequest before there is a future."""
        check_space(space)
        check_entity_type(entity_type)
        check_entity_id(entity_id)
        check_snapshot(snapshot, self.limits)
        version = parse_id(entity_version, "entityVersion")
        self._require_open()
        return self.engine.store_snapshot(space, entity_type, entity_id, version, snapshot)

    def load(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        *,
        triggering_event_token: str | None = None,
    ) -> asyncio.Future[Entity]:
        """Read an entity. Raises BadRequest before there is a future."""
        check_space(space)
        check_entity_type(entity_type)
        check_entity_id(entity_id)
        if triggering_event_token is not None:
            check_token(triggering_event_token)
        self.statistics.loads += 1
        self._require_open()
        return self.engine.load(space, entity_type, entity_id, triggering_event_token)

    async def subscribe(
        self,
        space: str,
        subscriber_id: str,
        selection: Mapping[str, Sequence[str]],
        receiver: Receiver,
        *,
        durability: Durability = Durability.DURABLE,
        read_from: ReadFrom = ReadFrom.BEGINNING,
        progress_notifications: bool = False,
        ack_mode: AckMode = AckMode.INDIVIDUAL,
        policy: DeliveryPolicy | None = None,
    ) -> Consumer:
        """Deliver the selected events to ``receiver``."""
        if policy is not None:
            policy.check()
        check_space(space)
        check_subscriber_id(subscriber_id)
        check_selection(selection, self.limits)
        self._require_open()
        return await self._dispatcher.subscribe(
            space,
            subscriber_id,
            selection,
            receiver,
            durable=durability is Durability.DURABLE,
            from_beginning=read_from is ReadFrom.BEGINNING,
            ack_mode=ack_mode,
            progress_notifications=progress_notifications,
            policy=policy,
        )

    async def inspect(self, space: str, subscriber_id: str) -> SubscriptionStatus:
        """Return where a subscription stands."""
        self._check_subscription(space, subscriber_id)
        return await self.subscriptions.inspect(space, subscriber_id)

    async def caught_up(self, space: str, subscriber_id: str, wait: float) -> bool:
        """Wait until all of the log as it is now has been acknowledged."""
        self._check_subscription(space, subscriber_id)
        check_wait(wait)
        return await self.subscriptions.caught_up(space, subscriber_id, wait)

    async def delete_subscription(self, space: str, subscriber_id: str) -> None:
        """Forget a subscription."""
        self._check_subscription(space, subscriber_id)
        with suppress(NotFound):
            await self.subscriptions.delete(space, subscriber_id)

    def _check_subscription(self, space: str, subscriber_id: str) -> None:
        check_space(space)
        check_subscriber_id(subscriber_id)
        self._require_open()

    def read_log(self, query: LogQuery) -> asyncio.Future[LogPage]:
        """Read a page of a space's log."""
        check_space(query.space)
        self._require_open()
        return self.engine.read_log(query)

    async def head_after(self, position: int, partition: int = 0) -> int:
        """Wait until the head of a partition is beyond ``position``, and return it.

        Returns at once, whatever the head, when the store is stopping.
        """
        while self.engine.heads[partition] <= position and not self._stopping:
            follower: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._followers.add(follower)
            try:
                await follower
            finally:
                self._followers.discard(follower)
        return self.engine.heads[partition]

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` has begun: followers should end."""
        return self._stopping

    def _append(self, append: Append) -> asyncio.Future[Appended]:
        append = checked(append, self.limits)
        self._admit(1, append.characters)
        return self.engine.append(append)

    def _require_open(self) -> None:
        if not self._open:
            raise ServiceUnavailable(
                "the event store is not open: use it within `async with`; nothing was written"
            )

    def _admit(self, appends: int, characters: int) -> None:
        """Raise ServiceUnavailable when as much waits for the disk as may."""
        self._require_open()
        if self._stopping:
            raise ServiceUnavailable("the server is shutting down; nothing was written")
        limits = self.limits
        counts = self.engine.counts
        if counts.waiting and (
            counts.waiting + appends > limits.waiting_appends
            or counts.waiting_characters + characters > limits.waiting_bytes
        ):
            counts.failures += appends
            raise ServiceUnavailable(
                f"overload: {counts.waiting} appends wait for the disk "
                f"(limits: waiting_appends {limits.waiting_appends}, waiting_bytes "
                f"{limits.waiting_bytes}); nothing was written, try again"
            )

    def _committed(self, committed: Committed) -> None:
        self._dispatcher.committed(committed)
        if self._followers:
            self._wake_followers()

    def _wake_followers(self) -> None:
        for follower in self._followers:
            if not follower.done():
                follower.set_result(None)
