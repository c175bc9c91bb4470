"""Connections to the database: how they are set up, and what its failures mean to a caller."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import asyncpg

from eventuary.engines.postgres.address import Address, quoted
from eventuary.errors import ConfigurationError, ServiceUnavailable

#: Seconds until a connection that is not made counts as refused.
_CONNECT_TIMEOUT = 5.0

#: Levels of synchronous_commit at which a commit returns after its flush to disk.
_DURABLE = ("on", "remote_apply")

#: What every session of ours sets. Plans are the same whatever is known of the tables' contents:
#: a table that was empty when a plan was made must not be read from end to end ever after.
_SETTINGS = {
    "application_name": "eventuary",
    "enable_seqscan": "off",
    "jit": "off",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "default_transaction_isolation": "read committed",
    # The database notices by itself that our machine has vanished.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
}


class Row(Protocol):
    """A row of a result: its columns by number and by name."""

    def __getitem__(self, column: int | str) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What we use of asyncpg's connection, which has no types of its own.

    ``fetchrow`` is for statements that return a row whatever they find.
    """

    async def fetch(self, query: str, *arguments: object) -> list[Row]: ...

    async def fetchrow(self, query: str, *arguments: object) -> Row: ...

    async def fetchval(self, query: str, *arguments: object) -> Any: ...

    async def execute(self, query: str, *arguments: object) -> str: ...

    async def add_listener(
        self, channel: str, callback: Callable[[object, int, str, object], None]
    ) -> None: ...

    def add_termination_listener(self, callback: Callable[[object], None]) -> None: ...

    def is_closed(self) -> bool: ...

    def terminate(self) -> None: ...

    async def close(self, *, timeout: float) -> None: ...


#: What asyncpg raises when the database can't be reached, or a connection breaks.
LOST: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
)

#: What a server that is going, coming, or no primary any more says of itself: try another.
_GONE = (
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
)


async def connect(address: Address, *, durable: bool = True) -> Connection:
    """Open a connection. Raises what asyncpg raises.

    ``durable``: a commit returns after its flush to disk; otherwise it waits for nothing.
    """
    connection: Connection = await asyncpg.connect(
        address.dsn,
        timeout=_CONNECT_TIMEOUT,
        server_settings={**_SETTINGS, "search_path": quoted(address.schema)},
        target_session_attrs="primary",
    )
    try:
        if not durable:
            await connection.execute("SET synchronous_commit = off")
        elif await connection.fetchval("SHOW synchronous_commit") not in _DURABLE:
            await connection.execute("SET synchronous_commit = on")
    except BaseException:
        connection.terminate()
        raise
    return connection


async def check_server(connection: Connection) -> None:
    """Raise ConfigurationError when this server would lose or change what it is given."""
    if await connection.fetchval("SHOW fsync") != "on":
        raise ConfigurationError(
            "engine: the database runs with fsync = off: what it has acknowledged would be lost "
            "with its machine; set fsync = on"
        )
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"engine: the database has the encoding {encoding}; create one with ENCODING 'UTF8'"
        )


def is_lost(error: BaseException, connection: Connection) -> bool:
    """Whether a connection can't be used any more after an error."""
    return connection.is_closed() or isinstance(error, (*LOST, *_GONE))


def describe(error: BaseException) -> str:
    """Return an error of asyncpg's in one line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = " ".join(str(error).split()) or type(error).__name__
    code = getattr(error, "sqlstate", None)
    return f"{text} ({code})" if code else text


def unavailable(error: BaseException, written: str = "nothing was written") -> ServiceUnavailable:
    """Return what the caller of a failed statement is told."""
    return ServiceUnavailable(f"storage: {describe(error)}; {written}, try again")
