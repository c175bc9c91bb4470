"""Turns at entities: who appends to one waits for those that came before.

Without them all but one of several appends to an entity would be refused by the stream, and each
would have to read the entity again to know why.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from eventuary.errors import ServiceUnavailable


class _Queue(msgspec.Struct, gc=False):
    lock: asyncio.Lock
    users: int = 0


class Turns:
    """Turns at anything that has a name."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def of(self, names: Sequence[str], deadline: float) -> AsyncIterator[None]:
        """Have the turn at all of these names, which are sorted: so nobody waits in a circle.

        Raises ServiceUnavailable when it has not come by the deadline, a time of the loop's clock.
        """
        had: list[_Queue] = []
        queues = []
        for name in names:
            queue = self._queues.get(name)
            if queue is None:
                queue = self._queues[name] = _Queue(asyncio.Lock())
            queue.users += 1
            queues.append(queue)
        try:
            for queue in queues:
                await in_time(queue.lock, deadline)
                had.append(queue)
            yield
        finally:
            for queue in had:
                queue.lock.release()
            for name, queue in zip(names, queues, strict=True):
                queue.users -= 1
                if not queue.users:
                    del self._queues[name]


async def in_time(place: asyncio.Lock | asyncio.Semaphore, deadline: float) -> None:
    """Acquire what others may have. Raises ServiceUnavailable when the deadline passes first."""
    if not place.locked():
        await place.acquire()  # at once
        return
    try:
        async with asyncio.timeout_at(deadline):
            await place.acquire()
    except TimeoutError:
        raise ServiceUnavailable("storage: appends that came before are not done yet") from None
