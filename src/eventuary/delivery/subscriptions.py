"""What an operator can see of subscriptions, and do to them. One thing at a time."""

import asyncio
import builtins
from collections.abc import Mapping

from eventuary.delivery.dispatcher import Dispatcher
from eventuary.delivery.lags import Lags, lag_of
from eventuary.delivery.parking import DISCARD, REPLAY
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.delivery.status import SubscriptionStatus, SwimlaneState, SwimlaneStatus
from eventuary.delivery.subscription import Subscription
from eventuary.engines.engine import DeadLetterRecord
from eventuary.errors import BadRequest


class Subscriptions:
    """All methods that name a subscription raise NotFound when there is none."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def list(self, space: str) -> list[SubscriptionStatus]:
        """Return the status of each subscription of a space."""
        async with self._dispatcher.lock:
            found = await self._dispatcher.all_subscriptions(space)
        found.sort(key=lambda each: (each.subscriber_id, not each.durable))
        return [await self._status(each) for each in found]

    async def inspect(self, space: str, subscriber_id: str) -> SubscriptionStatus:
        """Return the status of one subscription."""
        async with self._dispatcher.lock:
            subscription = await self._dispatcher.find(space, subscriber_id)
        return await self._status(subscription)

    def lags(self) -> Lags:
        """Return what watches the lags of all subscriptions, of all spaces."""
        return Lags(self._dispatcher)

    async def caught_up(self, space: str, subscriber_id: str, wait: float) -> bool:
        """Wait, at most ``wait`` seconds, until all of the log as it is now is acknowledged.

        False: that took longer, or nobody consumes the subscription.
        """
        async with self._dispatcher.lock:
            subscription = await self._dispatcher.find(space, subscriber_id)
        try:
            return await asyncio.wait_for(subscription.caught_up(), wait)
        except TimeoutError:
            return False

    async def reset(self, space: str, subscriber_id: str, to: Mapping[int, int]) -> None:
        """Deliver from after a position: 0 is the beginning, a partition's head is its end.

        ``to`` has it by partition of the log: swimlanes of the others stay where they are. Dead
        letters beyond it are forgotten: their events are delivered again anyway.
        """
        heads = await self._dispatcher.engine.newest_heads()
        for partition, position in to.items():
            head = heads[partition]
            if not 0 <= position <= head:
                raise BadRequest(f"position: {position} is outside 0..{head}, the head of the log")
        async with self._dispatcher.lock:
            subscription = await self._dispatcher.find(space, subscriber_id)
            for record in await subscription.parking.records():
                after = to.get(record.swimlane % len(heads))
                if after is not None and record.position > after:
                    await self._dispatcher.engine.delete_dead_letter(
                        space, subscriber_id, record.position
                    )
            if subscription.tenure is not None:
                subscription.tenure.lose_all()  # and taken again from where it is to begin
            for swimlane in subscription.swimlanes:
                after = to.get(swimlane.number % len(heads))
                if after is not None:
                    subscription.begin_after(swimlane, after)
                    swimlane.parked.clear()
            await self._dispatcher.store_positions(subscription)

    async def pause(self, space: str, subscriber_id: str) -> None:
        """Deliver nothing until ``resume``; what is in consumers' hands may still be answered."""
        await self._set_paused(space, subscriber_id, paused=True)

    async def resume(self, space: str, subscriber_id: str) -> None:
        """Deliver again."""
        await self._set_paused(space, subscriber_id, paused=False)

    async def change_policy(self, space: str, subscriber_id: str, policy: DeliveryPolicy) -> None:
        """Deliver by other rules. Raises BadRequest for one that can't be."""
        policy.check()
        async with self._dispatcher.lock:
            subscription = await self._dispatcher.find(space, subscriber_id)
            await self._dispatcher.store(subscription, policy=policy)
            subscription.obey(policy)

    async def delete(self, space: str, subscriber_id: str) -> None:
        """Forget a subscription, its positions and dead letters; consumers are told."""
        async with self._dispatcher.lock:
            subscription = await self._dispatcher.find(space, subscriber_id)
            await self._dispatcher.engine.delete_subscription(space, subscriber_id)
            self._dispatcher.forget(subscription)
            subscription.end(f"subscription {subscriber_id!r} was deleted")

    async def dead_letters(self, space: str, subscriber_id: str) -> builtins.list[DeadLetterRecord]:
        """Return a subscription's dead letters, lowest position first."""
        async with self._dispatcher.lock:
            subscription = await self._dispatcher.find(space, subscriber_id)
        return await subscription.parking.records()

    async def replay(self, space: str, subscriber_id: str, position: int) -> None:
        """Deliver a dead letter again. Raises NotFound, or Conflict when nobody is connected."""
        async with self._dispatcher.lock:
            subscription = await self._dispatcher.find(space, subscriber_id)
            if not await self._is_asked_of_another(subscription, position, REPLAY):
                await subscription.parking.replay(position)

    async def discard(self, space: str, subscriber_id: str, position: int) -> None:
        """Drop a dead letter; its swimlane goes on. Raises NotFound or Conflict."""
        async with self._dispatcher.lock:
            subscription = await self._dispatcher.find(space, subscriber_id)
            if not await self._is_asked_of_another(subscription, position, DISCARD):
                await subscription.parking.discard(position)

    async def _is_asked_of_another(
        self, subscription: Subscription, position: int, wish: str
    ) -> bool:
        """Whether another server has the dead letter's swimlane: it was asked, and does it soon."""
        tenancy = self._dispatcher.tenancy
        if tenancy is None or not subscription.durable:
            return False
        record = await subscription.parking.record_at(position)
        shared = await tenancy.shared(subscription)
        if shared is None or not tenancy.is_elsewhere(shared.leases[record.swimlane]):
            return False
        await tenancy.wish(subscription, position, wish)
        return True

    async def _set_paused(self, space: str, subscriber_id: str, *, paused: bool) -> None:
        async with self._dispatcher.lock:
            subscription = await self._dispatcher.find(space, subscriber_id)
            await self._dispatcher.store(subscription, paused=paused)
            subscription.pause(paused=paused)

    async def _status(self, subscription: Subscription) -> SubscriptionStatus:
        consumers = len(subscription.consumptions)
        elsewhere: set[int] = set()
        tenancy = self._dispatcher.tenancy
        if tenancy is not None and subscription.tenure is not None:
            shared = await tenancy.shared(subscription)
            if shared is not None:
                subscription.tenure.note_others(shared)
                consumers += tenancy.consumers_elsewhere(shared)
                elsewhere = {
                    lease.swimlane for lease in shared.leases if tenancy.is_elsewhere(lease)
                }
        return SubscriptionStatus(
            space=subscription.space,
            subscriber_id=subscription.subscriber_id,
            durability="DURABLE" if subscription.durable else "TRANSIENT",
            selection=subscription.selection.by_entity_type,
            paused=subscription.paused,
            policy=subscription.policy,
            consumers=consumers,
            lag=await lag_of(subscription, self._dispatcher.engine),
            dead_letters=len(await subscription.parking.records()),
            created_at=subscription.created_at,
            swimlanes=[
                SwimlaneStatus(
                    swimlane=each.number,
                    state=SwimlaneState.ELSEWHERE if each.number in elsewhere else each.state,
                    position=each.position,
                    unacknowledged=len(each.unacknowledged),
                )
                for each in subscription.swimlanes
            ],
        )
