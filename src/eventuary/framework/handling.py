"""Handling: deliveries to handlers, one swimlane at a time in order, swimlanes side by side.

A swimlane that has something to do has a task; what waits is bounded by the store's window. When a
handler raises, the event is refused, what waits behind it is dropped, and the store delivers it all
again in order, after a pause: so an entity's events are handled in order whatever fails.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from eventuary.delivery.consumer import Consumer, Delivery
from eventuary.errors import ServiceUnavailable
from eventuary.event_store import EventStore
from eventuary.events import END_OF_CURRENT_EVENTS
from eventuary.framework.event_handling import EventHandling
from eventuary.framework.lane import Lane
from eventuary.framework.subscriber import Subscriber

_log = logging.getLogger("eventuary.subscriber")


class RunningSubscriber:
    """A subscriber at work. Satisfies ``Receiver``. Made by ``start``, ended by ``stop``."""

    def __init__(self, subscriber: Subscriber, store: EventStore) -> None:
        self._subscriber = subscriber
        self._store = store
        self._handling = EventHandling(subscriber, store)
        self._lanes: dict[int, Lane] = {}
        self._consumer: Consumer | None = None
        self._early: list[Delivery] = []
        self._stopping = False
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def subscriber_id(self) -> str:
        """The subscriber's id."""
        return self._subscriber.subscriber_id

    @property
    def trouble(self) -> str | None:
        """Why it does not run; None: it does."""
        if self._ended.done():
            return self._ended.result()
        if self._stopping:
            return "it is stopping"
        return "it has not started" if self._consumer is None else None

    async def start(self) -> None:
        """Subscribe; handlers run from now on. Raises BadRequest, Unauthorized, …"""
        subscriber = self._subscriber
        self._consumer = await self._store.subscribe(
            subscriber.space,
            subscriber.subscriber_id,
            self._handling.codec.selection,
            self,
            durability=subscriber.durability,
            read_from=subscriber.read_from,
            policy=subscriber.policy,
        )
        early, self._early = self._early, []
        self.deliver(early)

    async def stop(self, grace: float = 10.0) -> None:
        """Begin nothing new, let handlers finish within ``grace`` seconds, and unsubscribe.

        What was not finished comes again, here or to another process.
        """
        self._stopping = True
        for lane in self._lanes.values():
            lane.waiting.clear()
        workers = [lane.worker for lane in self._lanes.values() if lane.worker is not None]
        if workers:
            _, slow = await asyncio.wait(workers, timeout=grace)
            for worker in slow:
                worker.cancel()
            if slow:
                _log.warning(
                    "subscriber %r: %d handlers did not finish within %g s and were cancelled",
                    self.subscriber_id, len(slow), grace,
                )  # fmt: skip
                await asyncio.wait(slow)
        if self._consumer is not None:
            try:
                await self._consumer.flush()
            except ServiceUnavailable as error:
                _log.warning(
                    "subscriber %r: not all is acknowledged: %s", self.subscriber_id, error
                )
            await self._consumer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._handling.settle()

    async def caught_up(self) -> None:
        """Return when all its events that are in the log by now have been handled.

        By whichever of its processes. Raises ServiceUnavailable when it ends before that.
        """
        if self._consumer is None:
            raise ServiceUnavailable(f"subscriber {self.subscriber_id!r} has not been started")
        await self._consumer.caught_up()

    async def ended(self) -> str:
        """Return, when the server ends the subscription by itself, why."""
        return await asyncio.shield(self._ended)

    # ── As the store's receiver ───────────────────────────────────────────────────────────────

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Put deliveries into their swimlanes."""
        if self._consumer is None:
            self._early += deliveries
            return
        if self._stopping:
            return
        for delivery in deliveries:
            lane = self._lanes.get(delivery.swimlane)
            if lane is None:
                lane = self._lanes[delivery.swimlane] = Lane(delivery.swimlane)
            if delivery.offset == lane.under_way:
                continue  # the handler takes longer than the store waits; it answers both
            lane.waiting.append(delivery)
            if lane.worker is None:
                lane.worker = asyncio.get_running_loop().create_task(self._work(lane))

    def interrupted(self) -> None:
        """Drop what waits: it comes again."""
        self._early.clear()
        for lane in self._lanes.values():
            lane.void()

    def closed(self, reason: str) -> None:
        """Note that the store ended it."""
        for lane in self._lanes.values():
            lane.void()
        if not self._ended.done():
            self._ended.set_result(reason)
        if not self._stopping:
            _log.warning("subscriber %r was ended by the store: %s", self.subscriber_id, reason)

    # ── Work ──────────────────────────────────────────────────────────────────────────────────

    async def _work(self, lane: Lane) -> None:
        consumer = self._consumer
        while lane.waiting and consumer is not None:
            delivery = lane.waiting.popleft()
            epoch = lane.epoch
            lane.under_way = delivery.offset
            failure = await self._handling.handle(delivery)
            if epoch != lane.epoch:
                continue  # it was delivered over a connection that is gone: it comes again
            lane.under_way = None
            if failure is None:
                consumer.acknowledge(delivery.swimlane, _acknowledged_at(delivery))
            else:
                lane.void()
                consumer.refuse(delivery.swimlane, delivery.offset, failure.reason)
        lane.worker = None


def _acknowledged_at(delivery: Delivery) -> int:
    if delivery.event.event_type == END_OF_CURRENT_EVENTS:
        return -delivery.offset
    return delivery.offset
