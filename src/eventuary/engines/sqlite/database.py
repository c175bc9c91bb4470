"""The database file: who may hold it, how connections are set up, how its schema is upgraded."""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import TracebackType
from typing import Self

from eventuary.errors import ConfigurationError, ServiceUnavailable

#: The oldest SQLite that has what the schema is made of: STRICT tables.
_OLDEST_SQLITE = (3, 37, 0)

#: Milliseconds that a statement waits for another process's write (``eventuary keys``).
_BUSY_TIMEOUT = 5_000

#: Marks a database file as ours, for us and for `file`: "Evty".
_APPLICATION_ID = 0x45767479

#: Bytes to which the write-ahead log is cut back when a checkpoint has emptied it.
_WAL_SIZE_LIMIT = 64 * 1024 * 1024


def check_sqlite() -> None:
    """Raise ConfigurationError when this Python's SQLite is too old for the schema."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        has = ".".join(map(str, sqlite3.sqlite_version_info))
        needed = ".".join(map(str, _OLDEST_SQLITE[:2]))
        raise ConfigurationError(
            f"engine: this Python has SQLite {has}, and {needed} or newer is needed: "
            "run Eventuary with a newer Python or a newer SQLite"
        )


def make_file(path: Path) -> None:
    """Make an empty database that its owner alone may read and write; one that is there stays.

    SQLite gives the files that it makes beside it the same permissions. Raises OSError.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


def connect(path: Path, *, cache_bytes: int, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection that commits durably, and that any one thread at a time may use.

    The file is there: ``make_file`` makes it.

    Transactions are begun explicitly. ``synchronous=FULL``: a commit returns after its fsync.
    Raises ConfigurationError, with nothing changed, when another program has made the database.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None
    if application != _APPLICATION_ID and not empty:
        connection.close()
        raise ConfigurationError(
            f"{path}: is a database of another program; nothing was changed: choose another file"
        )
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT}")
    if not read_only:  # it would be written into the file
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_SIZE_LIMIT}")
    connection.execute(f"PRAGMA cache_size = -{cache_bytes // 1024}")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def known_schema(connection: sqlite3.Connection) -> int:
    """Return the version of the schema; 0: there is none.

    The version is SQLite's ``user_version``: the number of migrations applied.
    Raises ConfigurationError when a newer Eventuary has made the database.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    newest = len(_migrations())
    if version > newest:
        raise ConfigurationError(
            f"the database has schema version {version}, this Eventuary knows up to "
            f"{newest}: upgrade Eventuary"
        )
    return version


def upgrade_schema(connection: sqlite3.Connection) -> None:
    """Bring the schema to the newest version: each migration in a transaction of its own.

    Raises ConfigurationError when a newer Eventuary has made the database.
    """
    version = known_schema(connection)
    for number, migration in enumerate(_migrations()[version:], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{migration.read_text('utf-8')}\n"
            f"PRAGMA application_id = {_APPLICATION_ID};\n"
            f"PRAGMA user_version = {number};\nCOMMIT;"
        )


def _migrations() -> list[Traversable]:
    """Return the files of the migrations in order; the first brings the schema to version 1."""
    return sorted(
        (
            entry
            for entry in files(__package__).joinpath("migrations").iterdir()
            if entry.name.endswith(".sql")
        ),
        key=lambda entry: entry.name,
    )


class DatabaseLock:
    """Held by the one server that serves a database file; the kernel frees it if we die."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._database = path
        self._descriptor: int | None = None

    def take(self) -> str | None:
        """Take the lock; returns the number of the process that has it, if another one has."""
        if self._descriptor is not None:
            return None
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock_without_waiting(descriptor)
        except OSError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            return holder
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return None

    def __enter__(self) -> Self:
        """Take the lock. Raises ConfigurationError when another process has it."""
        holder = self.take()
        if holder is not None:
            raise ConfigurationError(
                f"{self._database}: held by another server (process {holder}); stop it, or "
                "choose another database"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the lock. The file stays: removing it would let two servers lock two files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


if sys.platform == "win32":
    import msvcrt

    def _lock_without_waiting(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock_without_waiting(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Turn what can go wrong when a database is opened into one line that says what to do."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"{path}: can't be opened as a database: {reason}") from error


def unavailable(error: sqlite3.Error) -> ServiceUnavailable:
    """Return what the caller of a failed statement is told."""
    name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    return ServiceUnavailable(f"storage: {error} ({name}); nothing was written, try again")
