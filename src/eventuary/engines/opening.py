"""From an engine's URL to the engine: `sqlite:PATH`. A new engine adds its scheme here."""

from pathlib import Path

from eventuary.engines.engine import Engine
from eventuary.engines.sqlite.engine import SqliteEngine
from eventuary.errors import ConfigurationError
from eventuary.swimlanes import DEFAULT_SWIMLANES

#: Most swimlanes of a space.
MOST_SWIMLANES = 256


def open_engine(url: str, *, swimlanes: int = DEFAULT_SWIMLANES) -> Engine:
    """Return the engine that ``url`` names, not yet started.

    Raises ConfigurationError for an unknown scheme, a missing path or a bad number of swimlanes.
    """
    if not 1 <= swimlanes <= MOST_SWIMLANES:
        raise ConfigurationError(f"swimlanes: {swimlanes} is outside 1..{MOST_SWIMLANES}")
    scheme, _, path = url.partition(":")
    if scheme != "sqlite":
        raise ConfigurationError(
            f"engine: {url!r} has an unknown scheme; known: sqlite:PATH (as in sqlite:eventuary.db)"
        )
    if not path:
        raise ConfigurationError(f"engine: {url!r} names no file; write sqlite:PATH")
    return SqliteEngine(Path(path), swimlanes=swimlanes)
