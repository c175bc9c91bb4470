"""Reading: which generation of a view is read here, and when it shows what somebody waits for.

Where the view is fed in this process, it is the generation that is fed here: it moves to a new one
when that has caught up, so that what was seen once is not missing later. Elsewhere it is the live
one, looked up once a second.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from eventuary.errors import ServiceUnavailable
from eventuary.views.generation import live
from eventuary.views.storage import KeptView

_R = TypeVar("_R")

#: Seconds for which the live generation is taken to be what it was. A retired one is kept longer.
_KNOWN_FOR = 1.0


class Feeding(Protocol):
    """What feeds the view in this process."""

    @property
    def shown(self) -> int | None:
        """The generation that is to be read; None before there is one."""

    async def applied(self, version: str) -> None:
        """Return when the event of this id was applied here."""

    async def caught_up(self) -> None:
        """Return when all that is in the log by now was applied."""

    async def behind(self) -> str:
        """Return how far behind it is, in words."""


class Reading:
    """Belongs to one view."""

    def __init__(self, kept: KeptView[Any]) -> None:
        self._kept = kept
        self._feeding: Feeding | None = None
        self._live: int | None = None
        self._looked_at = -_KNOWN_FOR

    def fed_by(self, feeding: Feeding | None) -> None:
        """Read what is fed here from now on; None: it is not fed here any more."""
        self._feeding = feeding

    async def read(self, ask: Callable[[int], Awaitable[_R | None]]) -> _R | None:
        """Ask the generation that is to be read; None when it has nothing, or there is none."""
        generation = await self.generation()
        found = None if generation is None else await ask(generation)
        if found is not None or (generation is not None and generation == self._shown()):
            return found
        # It may have been retired and dropped, if this process has slept; or there is one by now.
        self._looked_at = -_KNOWN_FOR
        newer = await self._look()
        return None if newer is None or newer == generation else await ask(newer)

    async def generation(self) -> int | None:
        """Return the generation that is to be read; None: the view was never fed."""
        shown = self._shown()
        return await self._look() if shown is None else shown

    async def caught_up_with(self, version: str | int, timeout: float) -> None:
        """Return when the event is in what is read. Raises TimeoutError, RuntimeError."""
        feeding = self._feeding
        if feeding is None:
            raise RuntimeError(
                f"view {self._kept.view!r} does not run in this process: async with "
                "running(store, view)"
            )
        try:
            async with asyncio.timeout(timeout):
                await _either(feeding, version)
        except TimeoutError:
            raise TimeoutError(
                f"view {self._kept.view!r} does not show {version!r} after {timeout:g} seconds: "
                f"{await feeding.behind()}"
            ) from None

    def _shown(self) -> int | None:
        return None if self._feeding is None else self._feeding.shown

    async def _look(self) -> int | None:
        now = time.monotonic()
        if now - self._looked_at >= _KNOWN_FOR:
            found = live(await self._kept.generations())
            self._live = None if found is None else found.number
            self._looked_at = now
        return self._live


async def _either(feeding: Feeding, version: str | int) -> None:
    """Wait until an event was applied here, or all up to it by whoever feeds the view."""
    waiting = [asyncio.ensure_future(_caught_up(feeding))]
    if isinstance(version, str):
        waiting.append(asyncio.ensure_future(feeding.applied(version)))
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in waiting:
            each.cancel()


async def _caught_up(feeding: Feeding) -> None:
    while True:
        try:
            await feeding.caught_up()
        except ServiceUnavailable:
            # It is between two generations, or its connection is being mended.
            await asyncio.sleep(0.05)
        else:
            return
