"""From an engine's URL to the engine: `sqlite:PATH`, `postgresql://…` or `nats://…`.

A new engine adds its scheme here, and in storing.py if `eventuary migrate` can read and make it.
"""

from pathlib import Path

from eventuary.engines.engine import Engine
from eventuary.engines.jetstream.address import hide_secrets as hide_secrets_of_nats
from eventuary.engines.jetstream.address import read_address as read_address_of_nats
from eventuary.engines.postgres.address import hide_secrets, read_address
from eventuary.engines.sqlite.engine import SqliteEngine
from eventuary.errors import ConfigurationError
from eventuary.swimlanes import DEFAULT_SWIMLANES

_POSTGRES = ("postgresql://", "postgres://")
_NATS = "nats://"

#: Most swimlanes of a space.
MOST_SWIMLANES = 256


def open_engine(
    url: str, *, swimlanes: int = DEFAULT_SWIMLANES, accept_data_loss: bool = False
) -> Engine:
    """Return the engine that ``url`` names, not yet started.

    ``accept_data_loss``: start though the storage could lose what it has acknowledged. Of the
    engines JetStream alone asks for it: SQLite always syncs, PostgreSQL that does not is refused.
    Raises ConfigurationError for an unknown scheme, a missing path or a bad number of swimlanes.
    """
    if not 1 <= swimlanes <= MOST_SWIMLANES:
        raise ConfigurationError(f"swimlanes: {swimlanes} is outside 1..{MOST_SWIMLANES}")
    scheme, _, path = url.partition(":")
    if url.startswith(_POSTGRES):
        return _open_postgres(url, swimlanes)
    if url.startswith(_NATS):
        return _open_jetstream(url, swimlanes, accept_data_loss=accept_data_loss)
    if scheme != "sqlite":
        raise ConfigurationError(
            f"engine: {shown(url)!r} has an unknown scheme; known: sqlite:PATH (as in "
            "sqlite:eventuary.db), postgresql://USER:PASSWORD@HOST/DATABASE, nats://HOST,HOST,HOST"
        )
    if not path:
        raise ConfigurationError(f"engine: {url!r} names no file; write sqlite:PATH")
    return SqliteEngine(Path(path), swimlanes=swimlanes)


def shown(url: str) -> str:
    """Return an engine's URL as people may see it: without its passwords."""
    if url.startswith(_NATS):
        return hide_secrets_of_nats(url)
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


def _open_jetstream(url: str, swimlanes: int, *, accept_data_loss: bool) -> Engine:
    address = read_address_of_nats(url)
    # Imported here: who keeps events elsewhere needs no client of NATS.
    try:
        from eventuary.engines.jetstream.engine import JetStreamEngine
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "nats":
            raise
        raise ConfigurationError(
            "engine: JetStream needs nats-py: pip install 'eventuary[jetstream]'"
        ) from None
    return JetStreamEngine(address, swimlanes=swimlanes, accept_data_loss=accept_data_loss)
