"""A server that stands still: it shares its loop with the test, so the test can hold it up."""

import asyncio
import time


async def stand_still(seconds: float) -> None:
    """Hold up the loop; return when whatever is overdue because of that has run."""
    time.sleep(seconds)  # noqa: ASYNC251 - the whole point
    for _ in range(10):
        await asyncio.sleep(0.001)  # timers of the same moment run, and then the rest
