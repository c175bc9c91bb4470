"""Leaving a node that is cut off from the others, for the next one.

It keeps its connections to us, and answers what it can by itself; but nothing comes of what needs
most of the nodes. While a leader is elected it is the same by way of every node, so it is left only
after the longest election.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from eventuary.engines.jetstream.api import Refused
from eventuary.engines.jetstream.streams import info
from eventuary.engines.jetstream.wire import Lost, Wire

_log = logging.getLogger("eventuary.jetstream")

#: Seconds between two looks, and within which one is answered.
_LOOK_EVERY = 1.0
_PATIENCE = 1.0

#: Seconds after which a node is left by way of which most nodes were not heard: followers stand for
#: election within 9.
_LEAVE_AFTER = 9.0


class Isolation:
    """Watches a connection. ``hears``: whether most nodes are heard by way of it."""

    def __init__(self, wire: Wire, hears: Callable[[], Awaitable[bool]]) -> None:
        self._wire = wire
        self._hears = hears
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Watch no more."""
        self._watching.cancel()
        await asyncio.wait([self._watching])

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        heard_at = clock()
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            looked_at = clock()
            try:
                hears = not self._wire.is_connected or await self._hears_in_time()
            except Exception:  # noqa: BLE001 - an answer, at least; and without it none is left
                _log.exception("asking whether a node is cut off failed unexpectedly")
                hears = True
            if hears:
                heard_at = looked_at
            elif clock() - heard_at >= _LEAVE_AFTER:
                _log.warning(
                    "most nodes were not heard for %.0f s by way of %s: going on with the next",
                    clock() - heard_at, self._wire.node,
                )  # fmt: skip
                heard_at = clock()
                await self._wire.leave()

    async def _hears_in_time(self) -> bool:
        # Not by ``asyncio.wait_for``: before Python 3.12 that can swallow a cancellation.
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._hears()
        except TimeoutError:
            return False


async def leads_most(wire: Wire, streams: Sequence[str]) -> bool:
    """Whether the leader of any of these streams answers, and has heard from most of its nodes."""
    return any(await asyncio.gather(*(_has_leader(wire, stream) for stream in streams)))


async def _has_leader(wire: Wire, stream: str) -> bool:
    try:
        found = await info(wire, stream)
    except (Lost, Refused):
        return False
    return found is not None and found.cluster.hears_most(_LEAVE_AFTER / 2)
