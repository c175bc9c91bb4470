"""A receiver for tests: keeps what it gets, and lets a test wait for it."""

import asyncio
from collections.abc import Callable, Sequence

from eventuary.delivery.consumer import Consumer, Delivery
from eventuary.events import END_OF_CURRENT_EVENTS

#: Seconds that a test waits for something that must happen.
PATIENCE = 20.0


class Recorder:
    """Acknowledges each delivery in the loop's next turn while ``acknowledging``."""

    def __init__(self, *, acknowledging: bool = True) -> None:
        self.deliveries: list[Delivery] = []
        self.acknowledging = acknowledging
        self.interruptions = 0
        self.closed_because: str | None = None
        self.consumer: Consumer | None = None
        self._changed = asyncio.Event()

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self.deliveries += deliveries
        self._changed.set()
        if self.acknowledging:
            asyncio.get_running_loop().call_soon(self.acknowledge, list(deliveries))

    def interrupted(self) -> None:
        self.interruptions += 1
        self._changed.set()

    def closed(self, reason: str) -> None:
        self.closed_because = reason
        self._changed.set()

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if self.consumer is not None:
                self.consumer.acknowledge(delivery.swimlane, delivery.offset)

    @property
    def events(self) -> list[Delivery]:
        """What was delivered, notifications left out."""
        return [d for d in self.deliveries if d.event.event_type != END_OF_CURRENT_EVENTS]

    @property
    def data(self) -> list[str]:
        return [delivery.event.event_data for delivery in self.events]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds; looked at whenever something arrives.

        What has arrived by then is acknowledged by then, if the recorder acknowledges.
        """
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
        await asyncio.sleep(0)

    async def until_events(self, number: int) -> None:
        await self.until(lambda: len(self.events) >= number)
