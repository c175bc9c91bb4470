"""From an engine's URL to its store as a migration reads it, or makes it.

A new engine adds its own here when it can be read, and made, whole (copying.py).
"""

from pathlib import Path

from eventuary.engines.copying import Stored, Target
from eventuary.engines.jetstream.address import read_address as read_address_of_nats
from eventuary.engines.opening import open_engine
from eventuary.engines.postgres.address import read_address
from eventuary.engines.sqlite.importing import SqliteTarget
from eventuary.engines.sqlite.stored import SqliteStored
from eventuary.errors import ConfigurationError


def open_stored(url: str, name: str) -> Stored:
    """Return the store that ``url`` names, not yet open; ``name`` is what the URL was given as.

    Raises ConfigurationError.
    """
    _check(url, name)
    if url.startswith("sqlite:"):
        return SqliteStored(_path(url))
    if url.startswith("nats:"):
        from eventuary.engines.jetstream.stored import JetStreamStored

        return JetStreamStored(read_address_of_nats(url))
    from eventuary.engines.postgres.stored import PostgresStored

    return PostgresStored(read_address(url))


def open_target(url: str, name: str) -> Target:
    """Return the store that is to be made at ``url``, not yet open. Raises ConfigurationError."""
    _check(url, name)
    if url.startswith("sqlite:"):
        return SqliteTarget(_path(url))
    if url.startswith("nats:"):
        from eventuary.engines.jetstream.importing import JetStreamTarget

        return JetStreamTarget(read_address_of_nats(url))
    from eventuary.engines.postgres.importing import PostgresTarget

    return PostgresTarget(read_address(url))


def _check(url: str, name: str) -> None:
    if url.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{name}: {url.partition('?')[0]!r} is a server; name its engine, as the server's "
            "--engine does: the database is read beside it"
        )
    try:
        open_engine(url)  # nothing is opened before its start
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def _path(url: str) -> Path:
    return Path(url.partition(":")[2])
