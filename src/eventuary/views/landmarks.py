"""Landmarks: the ids of the events that were applied here last, for those who wait for one."""

import asyncio
from collections.abc import Iterable

#: So many ids are remembered.
_MOST = 10_000


class Landmarks:
    """Of one running view. It remembers in two halves, so that forgetting costs nothing."""

    def __init__(self, most: int = _MOST) -> None:
        self._half = max(1, most // 2)
        self._newer: set[str] = set()
        self._older: set[str] = set()
        self._awaited: dict[str, asyncio.Future[None]] = {}

    def pass_all(self, event_ids: Iterable[str]) -> None:
        """Note events that were applied, and wake who waits for them."""
        passed = list(event_ids)
        if self._awaited:
            for each in passed:
                waiting = self._awaited.pop(each, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)
        self._newer.update(passed[-self._half :])
        if len(self._newer) >= self._half:
            self._older, self._newer = self._newer, set()

    async def passed(self, event_id: str) -> None:
        """Return when the event was applied; never, for one that was applied and is forgotten."""
        if event_id in self._newer or event_id in self._older:
            return
        waiting = self._awaited.get(event_id)
        if waiting is None or waiting.done():
            waiting = self._awaited[event_id] = asyncio.get_running_loop().create_future()
        await asyncio.shield(waiting)
