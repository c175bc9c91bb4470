"""Rest: nothing is left to handle, and handling it has led to nothing new."""

import asyncio
from typing import Protocol

from eventuary.framework.running import Running


class Headed(Protocol):
    """A store that tells how far its log goes: ``memory_store()``, and ``Faults`` around it."""

    @property
    def head(self) -> int:
        """The position of the newest event."""


async def at_rest(store: Headed, run: Running, *, within: float = 10.0) -> None:
    """Return when the subscribers have handled everything, and what came of it, to the end.

    For tests of what must *not* happen, and of chains of handlers. Raises AssertionError when that
    takes more than ``within`` seconds: events for ever leading to events, or one that fails again
    and again.
    """
    __tracebackhide__ = True
    try:
        async with asyncio.timeout(within):
            before = -1
            while store.head != before:
                before = store.head
                await run.caught_up()
    except TimeoutError:
        raise AssertionError(
            f"not at rest within {within:g} s: the log's head is at {store.head}; does a handler "
            "fail, or does an event lead to itself?"
        ) from None
