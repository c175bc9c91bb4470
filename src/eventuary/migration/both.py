"""Two calls at once, of which neither is left behind when the other fails."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_One = TypeVar("_One")
_Other = TypeVar("_Other")


async def both(
    one: Coroutine[Any, Any, _One], other: Coroutine[Any, Any, _Other]
) -> tuple[_One, _Other]:
    """Return what both return; raise what the first to fail raises, once both have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = group.create_task(one), group.create_task(other)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return tasks[0].result(), tasks[1].result()
