"""A receiver that keeps order, as the framework does: one event at a time in each swimlane.

An event that ``fails`` is refused, and what was handed over behind it in its swimlane is dropped;
what an interruption voids is dropped as well. ``handled`` is what was acknowledged, in order.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from eventuary.delivery.consumer import Consumer, Delivery

PATIENCE = 30.0


class OrderKeeper:
    """Handles one delivery of each swimlane in each turn of the loop."""

    def __init__(self, fails: Callable[[Delivery], bool] = lambda _: False) -> None:
        self.consumer: Consumer
        self.handled: list[Delivery] = []
        self.refusals = 0
        self.interruptions = 0
        self.closed_because: str | None = None
        self._fails = fails
        self._waiting: dict[int, deque[Delivery]] = defaultdict(deque)
        self._scheduled = False
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._waiting[delivery.swimlane].append(delivery)
        self._handle_soon()

    def interrupted(self) -> None:
        self.interruptions += 1
        self._waiting.clear()
        self._changed.set()

    def closed(self, reason: str) -> None:
        self.closed_because = reason
        self._waiting.clear()
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds; looked at whenever something happens."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _handle_soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._handle)

    def _handle(self) -> None:
        self._scheduled = False
        for waiting in self._waiting.values():
            if not waiting:
                continue
            delivery = waiting.popleft()
            if self._fails(delivery):
                self.refusals += 1
                self.consumer.refuse(delivery.swimlane, delivery.offset, "not now")
                waiting.clear()
            elif self.consumer.acknowledge(delivery.swimlane, delivery.offset):
                self.handled.append(delivery)
        self._changed.set()
        if any(self._waiting.values()):
            self._handle_soon()
