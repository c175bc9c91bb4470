"""Engines over a cluster, several to one log."""

import contextlib
from collections.abc import AsyncIterator

from eventuary.engines.engine import Committed, Engine
from eventuary.engines.opening import open_engine


@contextlib.asynccontextmanager
async def started(url: str, committed: list[Committed] | None = None) -> AsyncIterator[Engine]:
    """An engine between its start and its stop, and what it tells meanwhile."""
    engine = open_engine(url)
    await engine.start((committed if committed is not None else []).append)
    try:
        yield engine
    finally:
        await engine.stop()
