"""A connection to the database: what we use of it, and what its failures mean to a caller."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import asyncpg

from eventuary.errors import ConfigurationError, ServiceUnavailable


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
