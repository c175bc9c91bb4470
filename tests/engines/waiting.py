"""Waiting for a condition, with a deadline: a test never waits for time to pass."""

import asyncio
import time
from collections.abc import Callable

from eventuary.engines.engine import Engine

#: Seconds; a condition that does not hold by then never will.
DEADLINE = 30.0


async def until(condition: Callable[[], object], what: str, *, patience: float = DEADLINE) -> None:
    """Return when the condition holds. ``patience``: seconds, for what takes many steps."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        await asyncio.sleep(0.005)


async def reached(engine: Engine, head: int) -> None:
    """Return when an engine's head is at a position."""
    await until(lambda: engine.head >= head, f"the head is at {head}")
