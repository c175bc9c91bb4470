"""Waiting: deliveries that are in hand and not yet in a group, and no more of them than may be."""

import asyncio
from collections import deque
from collections.abc import Sequence

from eventuary.delivery.consumer import Consumer, Delivery

#: Events of one group.
_MOST_EVENTS = 2000

#: Characters of event data that wait at most; then no more is taken until half of it is applied.
_MOST_CHARACTERS = 16 * 1024 * 1024


class Waiting:
    """``epoch`` changes when what was taken before is void: it comes again."""

    def __init__(self) -> None:
        self.epoch = 0
        self.characters = 0
        self._deliveries: deque[Delivery] = deque()
        self._paused: Consumer | None = None
        self._arrived = asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._deliveries)

    def add(self, deliveries: Sequence[Delivery], consumer: Consumer | None) -> None:
        """Take deliveries; let the consumer pause when that is enough for now."""
        self._deliveries.extend(deliveries)
        self.characters += _characters(deliveries)
        if self.characters > _MOST_CHARACTERS and consumer is not None:
            self._paused = consumer
            consumer.pause()
        self._arrived.set()

    async def arrival(self, patience: float) -> bool:
        """Return when something is there, or something else happened; False: nothing has."""
        self._arrived.clear()
        try:
            await asyncio.wait_for(self._arrived.wait(), patience)
        except TimeoutError:
            return False
        return True

    def wake(self) -> None:
        """Let whoever waits for an arrival look at what else happened."""
        self._arrived.set()

    def take_group(self) -> list[Delivery]:
        """Take the next group, in order."""
        waiting = self._deliveries
        group = [waiting.popleft() for _ in range(min(len(waiting), _MOST_EVENTS))]
        self.characters -= _characters(group)
        self._resume()
        return group

    def put_back(self, group: list[Delivery]) -> None:
        """Put a group back to where it was."""
        self._deliveries.extendleft(reversed(group))
        self.characters += _characters(group)

    def drop_swimlane(self, swimlane: int) -> None:
        """Drop what there is of a swimlane: it comes again."""
        self._deliveries = deque(each for each in self._deliveries if each.swimlane != swimlane)
        self.characters = _characters(self._deliveries)
        self._resume()

    def forget(self) -> None:
        """Drop everything: it comes again, or is for others."""
        self.epoch += 1
        self._deliveries.clear()
        self.characters = 0
        self._resume()

    def _resume(self) -> None:
        if self._paused is not None and self.characters <= _MOST_CHARACTERS // 2:
            self._paused.resume()
            self._paused = None


def _characters(deliveries: Sequence[Delivery] | deque[Delivery]) -> int:
    return sum(len(each.event.event_data) for each in deliveries)
