"""Turns: updates of one entity in one process go one after the other.

They would only get in each other's way: of two that decide on the same state, one is refused and
decides again. Rivals in other processes are told by the version check.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class _EntityLock(asyncio.Lock):
    """Knows how many have it or want it."""

    def __init__(self) -> None:
        super().__init__()
        self.interested = 0


class EntityTurns:
    """Holds nothing of an entity that nobody updates."""

    def __init__(self) -> None:
        self._locks: dict[str, _EntityLock] = {}

    @asynccontextmanager
    async def turn(self, entity_id: str) -> AsyncIterator[None]:
        """Wait for those that came before; within the block, the entity is ours."""
        lock = self._locks.get(entity_id)
        if lock is None:
            lock = self._locks[entity_id] = _EntityLock()
        lock.interested += 1
        try:
            async with lock:
                yield
        finally:
            lock.interested -= 1
            if not lock.interested:
                del self._locks[entity_id]
