"""A SQL database as views use it: one writing thread, some reading ones, errors in our words.

Ordinary drivers in threads, not asynchronous ones: every driver will do, and a transaction of a
thousand events is one trip to another thread.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, SingletonThreadPool

from eventuary.errors import ConfigurationError, ServiceUnavailable

_T = TypeVar("_T")

#: Threads, and so connections, that read.
_READERS = 4

#: Milliseconds that SQLite waits for another process's transaction.
_PATIENCE = 30_000

#: What SQLite says when it is the disk, or another process, and not the statement.
_SQLITE_IS_ILL = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}


class Database:
    """``database``: a URL as SQLAlchemy writes them, or an engine, not an asynchronous one.

    Raises ConfigurationError for what can't be one.
    """

    def __init__(self, database: str | Engine) -> None:
        try:
            self.engine = create_engine(database) if isinstance(database, str) else database
        except (SQLAlchemyError, ImportError) as error:
            raise ConfigurationError(f"view: {_shown(database)}: {error}") from None
        if isinstance(self.engine.pool, SingletonThreadPool):
            raise ConfigurationError(
                "view: a SQLite database in memory is another one in each thread; write "
                "sqlite:///PATH"
            )
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _set_up_sqlite)
        self._writer = ThreadPoolExecutor(1, "eventuary-view-writer")
        self._readers = ThreadPoolExecutor(_READERS, "eventuary-view-reader")

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Run work in one transaction, after those before it; what it raises undoes it.

        Raises ServiceUnavailable when the database can't be reached; other errors of SQLAlchemy
        as they are.
        """
        return await self._run(self._writer, work)

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """Run work that only reads, beside what is written."""
        return await self._run(self._readers, work)

    async def close(self) -> None:
        """Finish what is under way, and close the connections."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self.engine.dispose)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[Connection], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(threads, self._in_thread, work)

    def _in_thread(self, work: Callable[[Connection], _T]) -> _T:
        try:
            with self.engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            if is_unreachable(error):
                raise ServiceUnavailable(f"the view's database: {first_line(error)}") from error
            raise


def is_unreachable(error: BaseException) -> bool:
    """Whether an error is the database's, or the way's to it, and not the statement's."""
    if not isinstance(error, SQLAlchemyError):
        return False
    if not isinstance(error, DBAPIError):
        # A pool that gives no connection in time.
        return type(error).__name__ == "TimeoutError"
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in _SQLITE_IS_ILL
    if error.connection_invalidated:
        return True
    # SQLSTATE classes: connection, rollback (deadlock), resources, intervention, system.
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if isinstance(state, str):
        return state[:2] in ("08", "40", "53", "57", "58")
    return type(error).__name__ in ("OperationalError", "InterfaceError")


def is_missing(error: SQLAlchemyError) -> bool:
    """Whether an error says that a table is not there: each database in its own words."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if cause is None:
        return False
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return state in ("42P01", "42S02") or any(
        words in str(cause) for words in ("no such table", "doesn't exist", "does not exist")
    )


def first_line(error: BaseException) -> str:
    """Return what an error says, without the statement that SQLAlchemy adds."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause) else ''}"


def _shown(database: str | Engine) -> str:
    """Return a URL without its password."""
    if not isinstance(database, str):
        return repr(database)
    try:
        return repr(make_url(database).render_as_string(hide_password=True))
    except SQLAlchemyError:
        return "the URL"


def _set_up_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
    # What is acknowledged is on disk: it never comes again.
    cursor.execute("PRAGMA synchronous = FULL")
    # Readers don't wait for the writer. Of several processes that change the mode, SQLite lets one
    # do so, and has no patience with the others.
    end = time.monotonic() + _PATIENCE / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            break
    cursor.close()
