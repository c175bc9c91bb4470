"""Handling: deliveries to handlers, one swimlane at a time in order, swimlanes side by side.

A swimlane that has something to do has a task; what waits is bounded by the store's window. When a
handler raises, the event is refused, what waits behind it is dropped, and the store delivers it all
again in order, after a pause: so an entity's events are handled in order whatever fails.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from functools import partial

from eventuary.delivery.consumer import Delivery
from eventuary.event_store import EventStore
from eventuary.events import END_OF_CURRENT_EVENTS
from eventuary.framework.attendance import Attendance
from eventuary.framework.event_handling import EventHandling, Failure
from eventuary.framework.lane import Lane
from eventuary.framework.subscriber import Subscriber

_log = logging.getLogger("eventuary.subscriber")


class RunningSubscriber:
    """A subscriber at work. Satisfies ``Receiver``. Made by ``start``, ended by ``stop``."""

    def __init__(self, subscriber: Subscriber, store: EventStore) -> None:
        self._subscriber = subscriber
        self._handling = EventHandling(subscriber, store)
        self._attendance = Attendance(subscriber, store, self, self._finish)
        self._lanes: dict[int, Lane] = {}

    @property
    def subscriber_id(self) -> str:
        """The subscriber's id."""
        return self._subscriber.subscriber_id

    @property
    def trouble(self) -> str | None:
        """Why it does not run; None: it does, or has paused for an outside system."""
        return self._attendance.trouble

    @property
    def waits_for(self) -> str | None:
        """The outside system that is down, and for which it has paused; None: it does not wait."""
        return self._attendance.waits_for

    async def start(self) -> None:
        """Subscribe; handlers run from now on. Raises BadRequest, Unauthorized, …"""
        await self._attendance.come(self._subscriber.policy)

    async def stop(self, grace: float = 10.0) -> None:
        """Begin nothing new, let handlers finish within ``grace`` seconds, and unsubscribe.

        What was not finished comes again, here or to another process.
        """
        await self._attendance.stop(partial(self._finish, grace))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._handling.settle()

    async def caught_up(self) -> None:
        """Return when all its events that are in the log by now have been handled.

        By whichever of its processes; in a pause, not before its end. Raises ServiceUnavailable
        when it ends before that.
        """
        await self._attendance.caught_up()

    async def ended(self) -> str:
        """Return, when the server ends the subscription by itself, why."""
        return await asyncio.shield(self._attendance.ended)

    # ── As the store's receiver ───────────────────────────────────────────────────────────────

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Put deliveries into their swimlanes."""
        for delivery in self._attendance.admitted(deliveries):
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
        self._attendance.interrupted()
        for lane in self._lanes.values():
            lane.void()

    def closed(self, reason: str) -> None:
        """Note that the store ended it."""
        for lane in self._lanes.values():
            lane.void()
        self._attendance.end(reason)

    # ── Work ──────────────────────────────────────────────────────────────────────────────────

    async def _work(self, lane: Lane) -> None:
        consumer = self._attendance.consumer
        while lane.waiting and consumer is not None:
            delivery = lane.waiting.popleft()
            epoch = lane.epoch
            lane.under_way = delivery.offset
            outcome = await self._handling.handle(delivery)
            if epoch != lane.epoch:
                continue  # it was delivered over a connection that is gone: it comes again
            lane.under_way = None
            if outcome is None:
                consumer.acknowledge(delivery.swimlane, _acknowledged_at(delivery))
            elif isinstance(outcome, Failure):
                lane.void()
                reason, for_good = outcome
                consumer.refuse(delivery.swimlane, delivery.offset, reason, for_good=for_good)
            else:
                lane.void()
                self._attendance.leave_for(outcome.circuit)
        lane.worker = None

    async def _finish(self, grace: float | None = None) -> None:
        """Begin nothing new, and return when nothing is under way; cancel what lasts longer."""
        for lane in self._lanes.values():
            lane.waiting.clear()
        workers = [lane.worker for lane in self._lanes.values() if lane.worker is not None]
        if not workers:
            return
        _, slow = await asyncio.wait(workers, timeout=grace)
        for worker in slow:
            worker.cancel()
        if slow:
            _log.warning(
                "subscriber %r: %d handlers did not finish within %g s and were cancelled",
                self.subscriber_id, len(slow), grace,
            )  # fmt: skip
            await asyncio.wait(slow)


def _acknowledged_at(delivery: Delivery) -> int:
    if delivery.event.event_type == END_OF_CURRENT_EVENTS:
        return -delivery.offset
    return delivery.offset
