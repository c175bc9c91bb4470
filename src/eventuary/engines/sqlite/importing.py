"""A database file that a migration makes: satisfies ``Target``.

Whoever makes it has the lock that a server takes, and the table ``migration`` keeps servers away in
between. Each page of events is one transaction, so that whatever kills the migration, the log is
the source's up to some position; its head says where to go on.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from eventuary.engines.copying import Changes, Migration, not_empty
from eventuary.engines.sqlite import subscriptions
from eventuary.engines.sqlite.catalogue import Catalogue
from eventuary.engines.sqlite.database import (
    check_sqlite,
    connect,
    make_file,
    opening,
    upgrade_schema,
)
from eventuary.engines.sqlite.keys import insert_key
from eventuary.engines.sqlite.migrated import read_migration
from eventuary.engines.sqlite.stored import SqliteStored
from eventuary.events import EventType, LogEvent
from eventuary.ids import ZERO_ID
from eventuary.swimlanes import DEFAULT_SWIMLANES

_Result = TypeVar("_Result")

_CACHE_BYTES = 64 * 1024 * 1024

_INSERT = "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?)"

_STORE_SNAPSHOT = "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)"

#: What a store may hold that is no copy, and how people call it.
_THINGS = (
    ("events", "events"),
    ("subscriptions", "subscriptions"),
    ("api_keys", "API keys"),
    ("spaces", "spaces"),
)


class SqliteTarget(SqliteStored):
    """``path`` is the database file."""

    _catalogue: Catalogue

    async def open(self) -> None:
        """Make the file if it is not there, and lock it. Raises ConfigurationError."""
        check_sqlite()
        with opening(self.path):
            self.lock.__enter__()
            make_file(self.path)
            self.connection = connect(self.path, cache_bytes=_CACHE_BYTES)
            upgrade_schema(self.connection)
            self._catalogue = Catalogue(self.connection, DEFAULT_SWIMLANES)

    async def begin(self, source: str) -> Migration:
        """Mark it as a copy of ``source``. Raises ConfigurationError."""

        def run(connection: sqlite3.Connection) -> Migration:
            found = read_migration(connection)
            if found is not None:
                return found
            for table, name in _THINGS:
                number = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - names of ours
                if number:
                    raise not_empty(self.shown, number, name)
            connection.execute(
                "INSERT INTO migration VALUES (?, 0, '', ?, NULL)", (source, ZERO_ID)
            )
            return Migration(source, 0, "", None)

        return await self._write(run)

    async def import_events(self, events: Sequence[LogEvent]) -> None:
        """Write events as they are, in one transaction."""

        def run(connection: sqlite3.Connection) -> None:
            connection.executemany(_INSERT, [self._row(connection, event) for event in events])
            connection.execute(
                "UPDATE migration SET highest_id = max(highest_id, ?)",
                (max(event.event_id for event in events),),
            )

        await self._write(run)

    async def write(self, changes: Changes) -> None:
        """Write what is not events, in one transaction."""

        def run(connection: sqlite3.Connection) -> None:
            for name, swimlanes in changes.spaces.items():
                self._catalogue.add_space(connection, name, swimlanes)
            connection.executemany(
                _STORE_SNAPSHOT,
                [
                    (
                        self._catalogue.spaces[each.key.space].entity_types[each.key.entity_type],
                        each.key.entity_id,
                        each.entity_version,
                        each.snapshot_type,
                        each.json,
                    )
                    for each in changes.snapshots
                ],
            )
            for space, subscriber_id in changes.deleted_subscriptions:
                subscriptions.delete_subscription(connection, space, subscriber_id)
            for record in changes.subscriptions:
                subscriptions.store_subscription(connection, record)
            for gone in changes.deleted_dead_letters:
                subscriptions.delete_dead_letter(connection, *gone)
            for letter in changes.dead_letters:
                subscriptions.store_dead_letter(connection, letter)
            connection.executemany(
                "DELETE FROM api_keys WHERE key_id = ?",
                [(key_id,) for key_id in changes.deleted_keys],
            )
            for key in changes.keys:
                insert_key(connection, key)

        await self._write(run)

    async def note_verified(self, position: int, digest: str) -> None:
        """Remember how far its events were compared."""
        await self.run(
            lambda connection: connection.execute(
                "UPDATE migration SET verified = ?, digest = ?", (position, digest)
            )
        )

    async def finish(self) -> None:
        """Let it be served."""
        now = time.time_ns() // 1_000_000
        await self.run(
            lambda connection: connection.execute("UPDATE migration SET finished_at = ?", (now,))
        )

    async def _write(self, job: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run a job in a transaction of its own."""

        def run(connection: sqlite3.Connection) -> _Result:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = job(connection)
                connection.execute("COMMIT")
            except BaseException:
                self._catalogue.rolled_back()
                if connection.in_transaction:  # SQLite undoes it by itself after some failures
                    connection.execute("ROLLBACK")
                raise
            self._catalogue.committed()
            return result

        return await self.run(run)

    def _row(self, connection: sqlite3.Connection, event: LogEvent) -> tuple[object, ...]:
        catalogue = self._catalogue
        space = catalogue.spaces[event.space]
        type_no = space.entity_types.get(event.entity_type)
        if type_no is None:
            type_no = catalogue.add_entity_type(connection, space, event.entity_type)
        number = space.event_types.get(event.type)
        if number is None:
            name = EventType(event.entity_type, event.event_type)
            number = catalogue.add_event_type(connection, event.space, name)
        return (
            event.position,
            event.event_id,
            type_no,
            event.entity_id,
            number,
            event.swimlane,
            len(event.event_data) + len(event.metadata or ""),
            event.event_data,
            event.metadata,
            event.triggering_event_token,
        )
