"""A database file read beside its server, for a migration: satisfies ``Stored``.

The server's lock keeps other servers away, not readers: SQLite in WAL mode lets them see each
commit whole, and disturbs no writer. Within a moment the write-ahead log can't be cut back, so a
moment is kept short. Pages outside of one are statements by themselves: events never change, and
they become visible in the order of their positions.

One thread runs all statements, so that the connection is closed only when none is under way.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from eventuary.engines.copying import (
    PAGE_BYTES,
    PAGE_EVENTS,
    Migration,
    SnapshotKey,
    StoredSnapshot,
)
from eventuary.engines.engine import DeadLetterRecord, KeyRecord, SubscriptionRecord
from eventuary.engines.sqlite import subscriptions
from eventuary.engines.sqlite.database import (
    DatabaseLock,
    check_sqlite,
    connect,
    known_schema,
    opening,
    unavailable,
)
from eventuary.engines.sqlite.keys import read_keys
from eventuary.engines.sqlite.migrated import read_migration
from eventuary.errors import ConfigurationError, ServiceUnavailable
from eventuary.events import LogEvent

_CACHE_BYTES = 16 * 1024 * 1024

_EVENTS = """
SELECT position, event_id, event_type_no, entity_id, event_data, metadata, swimlane,
       triggering_event_token, size
FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?
"""

_EVENT_TYPES = """
SELECT event_type_no, spaces.name, entity_types.name, event_types.name
FROM event_types JOIN entity_types USING (entity_type_no) JOIN spaces USING (space_no)
"""

_ENTITY_TYPES = """
SELECT entity_type_no, spaces.name, entity_types.name
FROM entity_types JOIN spaces USING (space_no)
"""

_SNAPSHOTS = """
SELECT entity_type_no, entity_id, entity_version, snapshot_type, json FROM snapshots
WHERE (entity_type_no, entity_id) > (?, ?) ORDER BY entity_type_no, entity_id LIMIT ?
"""

_SNAPSHOT = """
SELECT entity_version, snapshot_type, json FROM snapshots
WHERE entity_type_no = ? AND entity_id = ?
"""

#: Snapshots of a page, at most.
_PAGE_SNAPSHOTS = 500

_Result = TypeVar("_Result")


class SqliteStored:
    """``path`` is the database file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown = f"sqlite:{path}"
        self.lock = DatabaseLock(path)
        #: Used by the thread alone, once it is open.
        self.connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "eventuary-stored")
        # By number; what is missing is looked up.
        self._event_types: dict[int, tuple[str, str, str]] = {}
        self._entity_types: dict[int, tuple[str, str]] = {}

    async def open(self) -> None:
        """Open the file. Raises ConfigurationError."""
        check_sqlite()
        if not self._exists():
            raise ConfigurationError(f"{self.shown}: there is no database")
        with opening(self.path):
            self.connection = connect(self.path, cache_bytes=_CACHE_BYTES, read_only=True)
            if known_schema(self.connection) == 0:
                raise ConfigurationError(f"{self.shown}: there is no store in this database")

    async def close(self) -> None:
        """Close the file, and let servers have it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def hold(self) -> str | None:
        """Take the server's lock; returns the process that has it."""
        with opening(self.path):
            holder = self.lock.take()
        return None if holder is None else f"process {holder}"

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[None]:
        """Read in one transaction."""
        await self.run(lambda connection: connection.execute("BEGIN"))
        try:
            yield
        finally:
            await self.run(lambda connection: connection.execute("ROLLBACK"))

    async def migration(self) -> Migration | None:
        """Return what it says of a migration."""

        def run(connection: sqlite3.Connection) -> Migration | None:
            # Before schema version 2 there were none.
            return read_migration(connection) if known_schema(connection) >= 2 else None

        return await self.run(run)

    async def head(self) -> int:
        """Return the position of the newest event."""

        def run(connection: sqlite3.Connection) -> int:
            found = connection.execute("SELECT max(position) FROM events").fetchone()
            return int(found[0] or 0)

        return await self.run(run)

    async def read_events(self, after: int, until: int) -> list[LogEvent]:
        """Read a page of the log."""
        return await self.run(lambda connection: self._page(connection, after, until))

    async def spaces(self) -> dict[str, int]:
        """Return the spaces."""
        return await self.run(
            lambda connection: dict(
                connection.execute("SELECT name, swimlanes FROM spaces ORDER BY space_no")
            )
        )

    async def snapshots(self) -> AsyncIterator[list[StoredSnapshot]]:
        """Read all snapshots, in pages."""
        after = (0, "")
        while True:
            page, after = await self.run(partial(self._snapshots_after, after=after))
            if not page:
                return
            yield page

    async def find_snapshots(self, keys: Sequence[SnapshotKey]) -> list[StoredSnapshot | None]:
        """Return the snapshots of these entities."""

        def run(connection: sqlite3.Connection) -> list[StoredSnapshot | None]:
            numbers = {
                (space, entity_type): number
                for number, space, entity_type in connection.execute(_ENTITY_TYPES)
            }
            found: list[StoredSnapshot | None] = []
            for key in keys:
                number = numbers.get((key.space, key.entity_type))
                row = connection.execute(_SNAPSHOT, (number, key.entity_id)).fetchone()
                found.append(StoredSnapshot(key, *row) if row else None)
            return found

        return await self.run(run)

    async def count_snapshots(self) -> int:
        """Count the snapshots."""
        return await self.run(
            lambda connection: connection.execute("SELECT count(*) FROM snapshots").fetchone()[0]
        )

    async def subscriptions(self) -> list[SubscriptionRecord]:
        """Return all subscriptions."""
        return await self.run(
            lambda connection: subscriptions.load_subscriptions(connection, None, None)
        )

    async def dead_letters(self) -> list[DeadLetterRecord]:
        """Return all dead letters."""

        def run(connection: sqlite3.Connection) -> list[DeadLetterRecord]:
            return [
                record
                for space, subscriber_id in subscriptions.count_dead_letters(connection)
                for record in subscriptions.load_dead_letters(connection, space, subscriber_id)
            ]

        return await self.run(run)

    async def keys(self) -> list[KeyRecord]:
        """Return the stored API keys."""
        return await self.run(read_keys)

    async def run(self, job: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run a job in the thread. Raises ServiceUnavailable."""

        def in_thread() -> _Result:
            if self.connection is None:
                raise ServiceUnavailable(f"{self.shown} is not open")
            try:
                return job(self.connection)
            except sqlite3.Error as error:
                raise unavailable(error) from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)

    def _exists(self) -> bool:
        return os.path.exists(self.path)

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        self.lock.__exit__(None, None, None)

    def _page(self, connection: sqlite3.Connection, after: int, until: int) -> list[LogEvent]:
        events: list[LogEvent] = []
        characters = 0
        rows = connection.execute(_EVENTS, (after, until, PAGE_EVENTS))
        for at, event_id, number, entity_id, data, metadata, swimlane, token, size in rows:
            characters += size
            if characters > PAGE_BYTES and events:
                break
            space, entity_type, event_type = self._event_type(connection, number)
            events.append(
                LogEvent(
                    at,
                    event_id,
                    space,
                    entity_type,
                    entity_id,
                    event_type,
                    data,
                    metadata,
                    swimlane,
                    token,
                )
            )
        rows.close()
        return events

    def _event_type(self, connection: sqlite3.Connection, number: int) -> tuple[str, str, str]:
        if number not in self._event_types:
            for each, space, entity_type, name in connection.execute(_EVENT_TYPES).fetchall():
                self._event_types[each] = (space, entity_type, name)
        return self._event_types[number]

    def _snapshots_after(
        self, connection: sqlite3.Connection, after: tuple[int, str]
    ) -> tuple[list[StoredSnapshot], tuple[int, str]]:
        page: list[StoredSnapshot] = []
        characters = 0
        rows = connection.execute(_SNAPSHOTS, (*after, _PAGE_SNAPSHOTS))
        for number, entity_id, version, snapshot_type, json in rows:
            characters += len(json)
            if characters > PAGE_BYTES and page:
                break
            space, entity_type = self._entity_type(connection, number)
            key = SnapshotKey(space, entity_type, entity_id)
            page.append(StoredSnapshot(key, version, snapshot_type, json))
            after = (number, entity_id)
        rows.close()
        return page, after

    def _entity_type(self, connection: sqlite3.Connection, number: int) -> tuple[str, str]:
        if number not in self._entity_types:
            for each, space, entity_type in connection.execute(_ENTITY_TYPES).fetchall():
                self._entity_types[each] = (space, entity_type)
        return self._entity_types[number]
