"""From an engine's URL to the engine: `sqlite:PATH` or `postgresql://…`.

A new engine adds its scheme here, and in storing.py if `eventuary migrate` can read and make it.
"""

from pathlib import Path

from eventuary.engines.engine import Engine
from eventuary.engines.postgres.address import hide_secrets, read_address
from eventuary.engines.sqlite.engine import SqliteEngine
from eventuary.errors import ConfigurationError
from eventuary.swimlanes import DEFAULT_SWIMLANES

_POSTGRES = ("postgresql://", "postgres://")

#: Most swimlanes of a space.
MOST_SWIMLANES = 256


def open_engine(url: str, *, swimlanes: int = DEFAULT_SWIMLANES) -> Engine:
    """Return the engine that ``url`` names, not yet started.

    Raises ConfigurationError for an unknown scheme, a missing path or a bad number of swimlanes.
    """
    if not 1 <= swimlanes <= MOST_SWIMLANES:
        raise ConfigurationError(f"swimlanes: {swimlanes} is outside 1..{MOST_SWIMLANES}")
    scheme, _, path = url.partition(":")
    if url.startswith(_POSTGRES):
        return _open_postgres(url, swimlanes)
    if scheme != "sqlite":
        raise ConfigurationError(
            f"engine: {shown(url)!r} has an unknown scheme; known: sqlite:PATH (as in "
            "sqlite:eventuary.db), postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    if not path:
        raise ConfigurationError(f"engine: {url!r} names no file; write sqlite:PATH")
    return SqliteEngine(Path(path), swimlanes=swimlanes)


def shown(url: str) -> str:
    """Return an engine's URL as people may see it: without its passwords."""
    return hide_secrets(url) if url.startswith(_POSTGRES) else url


def _open_postgres(url: str, swimlanes: int) -> Engine:
    # Imported here: who keeps events in a file needs no client of PostgreSQL.
    try:
        from eventuary.engines.postgres.engine import PostgresEngine
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ConfigurationError(
            "engine: PostgreSQL needs asyncpg: pip install 'eventuary[postgres]'"
        ) from None
    return PostgresEngine(read_address(url), swimlanes=swimlanes)
