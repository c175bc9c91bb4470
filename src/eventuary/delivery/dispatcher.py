"""Delivery's centre: commits on their way to subscriptions, and which of these are open.

Durable subscriptions are in memory only while somebody consumes them; opening and closing them,
and what an operator does to them, happens one at a time, under one lock.
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence

import msgspec

from eventuary.delivery.consumer import AckMode, Receiver
from eventuary.delivery.consumption import Consumption
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.delivery.positions import Positions
from eventuary.delivery.selection import Selection
from eventuary.delivery.statistics import Statistics
from eventuary.delivery.subscription import Subscription
from eventuary.delivery.swimlane import Swimlane
from eventuary.delivery.tail import Tail
from eventuary.delivery.tenancy import Tenancy
from eventuary.engines.engine import (
    Committed,
    Engine,
    SubscriptionRecord,
)
from eventuary.errors import Conflict, NotFound, ServiceUnavailable
from eventuary.seldom import Seldom

#: Seconds between two looks for deliveries without an answer.
_CHECK_ANSWERS_EVERY = 1.0

_Key = tuple[str, str, bool]  # space, subscriber id, durable


class Dispatcher:
    """One per event store. ``engine`` is started by the owner, with ``committed`` as listener."""

    def __init__(self, engine: Engine, policy: DeliveryPolicy) -> None:
        self.engine = engine
        self.policy = policy
        self.statistics = Statistics(engine.counts)
        #: Of the log lines about dead letters.
        self.dead_letter_lines = Seldom()
        self.stopping = False
        #: Of each partition of the log.
        self.tails: list[Tail] = []
        self.positions = Positions(self)
        self.loop: asyncio.AbstractEventLoop
        self.lock = asyncio.Lock()
        self._open: dict[_Key, Subscription] = {}
        self._interested: dict[tuple[str, str, str], tuple[Subscription, ...]] = {}
        self._check_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        #: Which swimlanes are this server's; None: all, as the engine has no other servers.
        self.tenancy: Tenancy | None = None

    def start(self) -> None:
        """Begin at the engine's heads; after ``stop``, anew."""
        self.stopping = False
        self._stopped.clear()
        self._open.clear()
        self._interested.clear()
        self.positions = Positions(self)
        self.loop = asyncio.get_running_loop()
        self.tails = [Tail(head) for head in self.engine.heads]
        self._check_timer = self.loop.call_later(_CHECK_ANSWERS_EVERY, self._check_answers)
        self.tenancy = None
        if self.engine.leasing is not None:
            self.tenancy = Tenancy(self, self.engine.leasing)
            self.tenancy.start()

    async def stop(self, reason: str) -> None:
        """Tell all consumers, and store all positions."""
        self.stopping = True
        self._stopped.set()
        if self._check_timer is not None:
            self._check_timer.cancel()
        for subscription in list(self._open.values()):
            subscription.end(reason)
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.positions.stop()
        if self.tenancy is not None:
            await self.tenancy.stop()

    # ── Commits ───────────────────────────────────────────────────────────────────────────────

    def committed(self, committed: Committed) -> None:
        """Take in what the engine has committed, and hand it to those who are live."""
        self.tails[committed.partition].extend(committed)
        if committed.events is None:
            for subscription in self._open.values():
                subscription.feeding.fall_behind(committed.partition)
            return
        interested = self._interested
        touched: dict[Consumption, None] = {}
        for event in committed.events:
            for subscription in interested.get(
                (event.space, event.entity_type, event.event_type), ()
            ):
                consumption = subscription.feeding.offer(event)
                if consumption is not None:
                    touched[consumption] = None
        for consumption in touched:
            consumption.hand_over()

    def partition(self, swimlane: int) -> int:
        """Return the number of the partition of the log that has a swimlane's events."""
        return swimlane % len(self.tails)

    def head(self, swimlane: int) -> int:
        """Return the position up to which a swimlane's events are known here."""
        return self.tails[swimlane % len(self.tails)].head

    def wants_events(self, partition: int) -> bool:
        """Whether there is anybody here to whom what happens in a partition could be delivered."""
        return any(subscription.takes_from(partition) for subscription in self._open.values())

    # ── Subscriptions ─────────────────────────────────────────────────────────────────────────

    async def subscribe(
        self,
        space: str,
        subscriber_id: str,
        by_entity_type: Mapping[str, Sequence[str]],
        receiver: Receiver,
        *,
        durable: bool,
        from_beginning: bool,
        ack_mode: AckMode,
        progress_notifications: bool,
        policy: DeliveryPolicy | None = None,
    ) -> Consumption:
        """Open the subscription if need be, and let the receiver consume it."""
        selection = Selection.of(by_entity_type)
        async with self.lock:
            if self.stopping:
                raise ServiceUnavailable("the server is shutting down")
            subscription = self._open.get((space, subscriber_id, durable))
            if subscription is None and durable:
                subscription = await self._load(space, subscriber_id)
            if subscription is None:
                # What another server has acknowledged may not be known here yet.
                heads = (0,) if from_beginning else await self.engine.newest_heads()
                subscription = Subscription(
                    self,
                    space,
                    subscriber_id,
                    selection,
                    [heads[each % len(heads)] for each in range(self.engine.swimlanes(space))],
                    policy or self.policy,
                    durable=durable,
                    paused=False,
                    created_at=time.time_ns() // 1_000_000,
                )
                if durable:
                    subscription = await self._create(subscription)
            await self._change(subscription, selection, policy or subscription.policy)
            self._open[(space, subscriber_id, durable)] = subscription
            self._note_interest(subscription)
            consumption = subscription.join(
                receiver, ack_mode, progress_notifications=progress_notifications
            )
            self.consumers_changed(subscription)
            return consumption

    async def _create(self, subscription: Subscription) -> Subscription:
        """Store a new subscription; return it, or the one that another server has just stored."""
        try:
            await self.engine.create_subscription(self._record(subscription))
        except Conflict:
            stored = await self._load(subscription.space, subscription.subscriber_id)
            if stored is None:
                raise
            return stored
        return subscription

    def consumers_changed(self, subscription: Subscription) -> None:
        """Consumers came or went: other servers are to have more or less of the swimlanes."""
        if subscription.tenure is not None and self.tenancy is not None:
            self.tenancy.look_soon()

    async def _change(
        self, subscription: Subscription, selection: Selection, policy: DeliveryPolicy
    ) -> None:
        """Let a subscription that exists select and obey what its newest consumer asks for."""
        if subscription.selection == selection and subscription.policy == policy:
            return
        await self.store(subscription, selection=selection, policy=policy)
        subscription.obey(policy)
        if subscription.selection != selection:
            self._forget_interest(subscription)
            subscription.select(selection)

    async def find(self, space: str, subscriber_id: str) -> Subscription:
        """Return a subscription, from disk if nobody consumes it; call with ``lock`` held.

        Raises NotFound.
        """
        subscription = self._open.get((space, subscriber_id, True))
        if subscription is None:
            subscription = await self._load(space, subscriber_id)
        if subscription is None:
            subscription = self._open.get((space, subscriber_id, False))
        if subscription is None:
            raise NotFound(f"there is no subscription {subscriber_id!r} in space {space!r}")
        return subscription

    def open_subscriptions(self) -> list[Subscription]:
        """Return the subscriptions that somebody consumes."""
        return list(self._open.values())

    async def all_subscriptions(self, space: str) -> list[Subscription]:
        """Return a space's subscriptions, those on disk included; call with ``lock`` held."""
        await self.positions.flush_or_pass()
        found = [each for each in self._open.values() if each.space == space]
        consumed = {each.subscriber_id for each in found if each.durable}
        stored = await self.engine.load_subscriptions(space)
        found += [self._restore(each) for each in stored if each.subscriber_id not in consumed]
        return found

    async def close(self, subscription: Subscription) -> None:
        """Let go of a subscription that nobody consumes any more."""
        async with self.lock:
            if subscription.consumptions or self.stopping:
                return
            self.forget(subscription)
            if subscription.durable:
                await self.positions.flush_or_pass()
                if self.tenancy is not None:
                    await self.tenancy.close(subscription)

    async def was_deleted(self, subscription: Subscription) -> None:
        """Another server has deleted a subscription: tell its consumers here."""
        async with self.lock:
            if subscription in self._open.values():
                self.forget(subscription)
                subscription.end(f"subscription {subscription.subscriber_id!r} was deleted")

    def was_changed(self, subscription: Subscription, record: SubscriptionRecord) -> None:
        """Another server may have changed a subscription: obey."""
        policy = _changed_policy(self.policy, record.policy)
        if policy != subscription.policy:
            subscription.obey(policy)
        selection = Selection.of(record.selection)
        if selection != subscription.selection:
            self._forget_interest(subscription)
            subscription.select(selection)
            self._note_interest(subscription)
        if record.paused != subscription.paused:
            subscription.pause(paused=record.paused)

    def forget(self, subscription: Subscription) -> None:
        """Deliver nothing to a subscription any more."""
        self._forget_interest(subscription)
        key = (subscription.space, subscription.subscriber_id, subscription.durable)
        if self._open.get(key) is subscription:
            del self._open[key]

    async def store(
        self,
        subscription: Subscription,
        *,
        selection: Selection | None = None,
        policy: DeliveryPolicy | None = None,
        paused: bool | None = None,
    ) -> None:
        """Store a subscription as it is about to be, but for its positions; not a transient one.

        What changes is applied by the caller afterwards: if the disk fails, nothing has changed.
        """
        if subscription.durable:
            await self.engine.change_subscription(
                self._record(subscription, selection=selection, policy=policy, paused=paused)
            )

    async def store_positions(self, subscription: Subscription) -> None:
        """Store all positions of a subscription as they are, whoever holds its swimlanes."""
        if subscription.durable:
            await self.engine.store_subscription(self._record(subscription))
            self.consumers_changed(subscription)

    def _record(
        self,
        subscription: Subscription,
        *,
        selection: Selection | None = None,
        policy: DeliveryPolicy | None = None,
        paused: bool | None = None,
    ) -> SubscriptionRecord:
        return SubscriptionRecord(
            space=subscription.space,
            subscriber_id=subscription.subscriber_id,
            selection=(selection or subscription.selection).by_entity_type,
            positions=tuple(each.position for each in subscription.swimlanes),
            policy=_policy_changes(policy or subscription.policy, self.policy),
            paused=subscription.paused if paused is None else paused,
            created_at=subscription.created_at,
        )

    async def _load(self, space: str, subscriber_id: str) -> Subscription | None:
        await self.positions.flush_or_pass()  # what an earlier consumer acknowledged
        records = await self.engine.load_subscriptions(space, subscriber_id)
        if not records:
            return None
        subscription = self._restore(records[0])
        await subscription.parking.load()
        return subscription

    def _restore(self, record: SubscriptionRecord) -> Subscription:
        return Subscription(
            self,
            record.space,
            record.subscriber_id,
            Selection.of(record.selection),
            record.positions,
            _changed_policy(self.policy, record.policy),
            durable=True,
            paused=record.paused,
            created_at=record.created_at,
        )

    def _note_interest(self, subscription: Subscription) -> None:
        for entity_type, event_type in subscription.selection.types:
            key = (subscription.space, entity_type, event_type)
            present = self._interested.get(key, ())
            if subscription not in present:
                self._interested[key] = (*present, subscription)

    def _forget_interest(self, subscription: Subscription) -> None:
        for entity_type, event_type in subscription.selection.types:
            key = (subscription.space, entity_type, event_type)
            rest = tuple(each for each in self._interested.get(key, ()) if each is not subscription)
            if rest:
                self._interested[key] = rest
            else:
                self._interested.pop(key, None)

    # ── Positions ─────────────────────────────────────────────────────────────────────────────

    def acknowledged(self, subscription: Subscription, swimlane: Swimlane) -> None:
        """A delivery was acknowledged: its swimlane's position may have moved."""
        self.statistics.acknowledgements += 1
        swimlane.answered_at = self.loop.time()
        self.positions.moved(subscription, swimlane)

    # ── Time ──────────────────────────────────────────────────────────────────────────────────

    def _check_answers(self) -> None:
        self._check_timer = self.loop.call_later(_CHECK_ANSWERS_EVERY, self._check_answers)
        now = self.loop.time()
        for subscription in list(self._open.values()):
            subscription.check_answers(now)

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run work of delivery's own beside everything else; ``stop`` waits for it."""
        task: asyncio.Task[None] = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def rest(self, seconds: float) -> None:
        """Wait, but not beyond ``stop``."""
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return


def _policy_changes(
    policy: DeliveryPolicy, default: DeliveryPolicy
) -> dict[str, int | float | str]:
    """Return where a policy differs from the default, so that a new default reaches the rest."""
    changes: dict[str, int | float | str] = {
        name: value
        for name, value in msgspec.to_builtins(policy).items()
        if value != msgspec.to_builtins(default)[name]
    }
    return changes


def _changed_policy(
    default: DeliveryPolicy, changes: Mapping[str, int | float | str]
) -> DeliveryPolicy:
    return msgspec.convert({**msgspec.to_builtins(default), **changes}, DeliveryPolicy)
