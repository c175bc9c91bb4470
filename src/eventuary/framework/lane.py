"""A swimlane within a running subscriber: one thing at a time, in order."""

import asyncio
from collections import deque

from eventuary.delivery.consumer import Delivery


class Lane:
    """Deliveries that wait for the one before them."""

    __slots__ = ("epoch", "number", "under_way", "waiting", "worker")

    def __init__(self, number: int) -> None:
        self.number = number
        self.waiting: deque[Delivery] = deque()
        self.worker: asyncio.Task[None] | None = None
        #: The offset of what is being handled, and will be answered.
        self.under_way: int | None = None
        #: Changes when what was handed over before is void.
        self.epoch = 0

    def void(self) -> None:
        """Forget what was handed over: it comes again."""
        self.waiting.clear()
        self.under_way = None
        self.epoch += 1
