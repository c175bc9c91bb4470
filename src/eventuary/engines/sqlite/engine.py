"""The log in one SQLite file: one writing thread with group commit, two reading threads beside it.

`loads` answers reads of entities, `log` reads of the log, so that a subscriber that catches up does
not hold up a command that waits for its entity.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from eventuary.engines.copying import unfinished
from eventuary.engines.engine import (
    AppendCounts,
    Committed,
    DeadLetterRecord,
    LogPage,
    LogQuery,
    SubscriptionRecord,
    SwimlanePosition,
)
from eventuary.engines.sqlite import subscriptions
from eventuary.engines.sqlite.catalogue import Catalogue
from eventuary.engines.sqlite.database import (
    DatabaseLock,
    check_sqlite,
    connect,
    make_file,
    opening,
    upgrade_schema,
)
from eventuary.engines.sqlite.keys import SqliteKeyStore
from eventuary.engines.sqlite.loading import load_entity, load_history
from eventuary.engines.sqlite.log import count_events, read_page
from eventuary.engines.sqlite.migrated import highest_copied_id, read_migration
from eventuary.engines.sqlite.reader import Reader
from eventuary.engines.sqlite.snapshots import store_snapshot
from eventuary.engines.sqlite.writer import Several, Single, Statement, Writer
from eventuary.errors import EventuaryError
from eventuary.events import Append, Appended, Entity, EntityEvent, EventType, NewSnapshot
from eventuary.ids import ZERO_ID, IdGenerator, new_node_number

_WRITER_CACHE_BYTES = 32 * 1024 * 1024
_READER_CACHE_BYTES = 8 * 1024 * 1024


class SqliteEngine:
    """Satisfies ``Engine``. One per database file and process; a lock keeps others out."""

    def __init__(self, path: Path, *, swimlanes: int) -> None:
        self._path = path
        self._default_swimlanes = swimlanes
        self._lock = DatabaseLock(path)
        self._connections: list[sqlite3.Connection] = []
        self._writer: Writer
        self._loads: Reader
        self._log: Reader
        self._catalogue: Catalogue
        self._loop: asyncio.AbstractEventLoop
        self.keys = SqliteKeyStore(path)
        self.counts = AppendCounts()

    @property
    def leasing(self) -> None:
        """A database file has one server."""
        return

    @property
    def exists(self) -> bool:
        """Whether the file is there."""
        return os.path.exists(self._path)

    @property
    def head(self) -> int:
        """The position of the newest event that readers can see."""
        return self._writer.head

    @property
    def heads(self) -> tuple[int, ...]:
        """The log is one partition."""
        return (self._writer.head,)

    async def newest_heads(self) -> tuple[int, ...]:
        """Return ``heads``: nobody else commits."""
        return (self._writer.head,)

    async def start(
        self,
        on_commit: Callable[[Committed], None],
        wants_events: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """Lock and open the file, upgrade its schema, start the threads.

        Nobody else writes to the file, so nothing is ever read to be told. Raises
        ConfigurationError.
        """
        check_sqlite()
        self._loop = asyncio.get_running_loop()
        with opening(self._path):
            self._lock.__enter__()
        try:
            with opening(self._path):
                make_file(self._path)
                writing = self._connect(_WRITER_CACHE_BYTES, read_only=False)
                upgrade_schema(writing)
                copied = read_migration(writing)
                if copied is not None and copied.finished_at is None:
                    raise unfinished(f"sqlite:{self._path}", copied.source)
                self._catalogue = Catalogue(writing, self._default_swimlanes)
                ids, head = _resume(writing)
                reading = [self._connect(_READER_CACHE_BYTES, read_only=True) for _ in range(2)]
        except BaseException:
            self._close()
            raise
        self._writer = Writer(writing, self._catalogue, ids, head, self.counts, on_commit)
        self._loads = Reader(reading[0], "eventuary-loads")
        self._log = Reader(reading[1], "eventuary-log")

    async def stop(self) -> None:
        """Finish what is queued, end the threads, close the file."""
        await self._writer.stop()
        await self._loads.stop()
        await self._log.stop()
        await asyncio.to_thread(self._close)

    def append(self, append: Append) -> asyncio.Future[Appended]:
        """Append to one entity."""
        future: asyncio.Future[Appended] = self._loop.create_future()
        self._writer.put(Single(append, future))
        return future

    def append_all(
        self, appends: Sequence[Append], *, atomic: bool
    ) -> asyncio.Future[list[Appended | EventuaryError]]:
        """Append to several entities in one transaction."""
        future: asyncio.Future[list[Appended | EventuaryError]] = self._loop.create_future()
        self._writer.put(Several(appends, atomic, future))
        return future

    def load(
        self, space: str, entity_type: str, entity_id: str, triggering_event_token: str | None
    ) -> asyncio.Future[Entity]:
        """Read an entity."""
        catalogue = self._catalogue
        return self._loads.read(
            lambda connection: load_entity(
                connection, catalogue, space, entity_type, entity_id, triggering_event_token
            )
        )

    def history(
        self, space: str, entity_type: str, entity_id: str, after: str
    ) -> asyncio.Future[list[EntityEvent]]:
        """Read an entity's events after a version."""
        catalogue = self._catalogue
        return self._loads.read(
            lambda connection: load_history(
                connection, catalogue, space, entity_type, entity_id, after
            )
        )

    def store_snapshot(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        snapshot: NewSnapshot,
    ) -> asyncio.Future[None]:
        """Store a snapshot as of a version."""
        return self._write(
            partial(
                store_snapshot,
                catalogue=self._catalogue,
                space=space,
                entity_type=entity_type,
                entity_id=entity_id,
                entity_version=entity_version,
                snapshot=snapshot,
            )
        )

    def read_log(self, query: LogQuery) -> asyncio.Future[LogPage]:
        """Read a page of the log."""
        until = self._end(query)
        catalogue = self._catalogue
        return self._log.read(lambda connection: read_page(connection, catalogue, query, until))

    def count(self, query: LogQuery, cap: int) -> asyncio.Future[int]:
        """Count what a query selects."""
        until = self._end(query)
        catalogue = self._catalogue
        return self._log.read(
            lambda connection: count_events(connection, catalogue, query, until, cap)
        )

    def event_types(self, space: str) -> list[EventType]:
        """Return the event types of a space."""
        return self._catalogue.event_types(space)

    def swimlanes(self, space: str) -> int:
        """Return the number of swimlanes of a space."""
        return self._catalogue.swimlanes(space)

    def probe(self) -> asyncio.Future[None]:
        """Write the node number again.

        Deleted first: SQLite writes nothing when a row is overwritten with what it holds.
        """

        def run(connection: sqlite3.Connection) -> None:
            node = connection.execute("SELECT node_number FROM node").fetchone()
            connection.execute("DELETE FROM node")
            connection.execute("INSERT INTO node VALUES (?)", node)

        return self._write(run)

    def load_subscriptions(
        self, space: str | None, subscriber_id: str | None = None
    ) -> asyncio.Future[list[SubscriptionRecord]]:
        """Return stored subscriptions."""
        return self._log.read(
            lambda connection: subscriptions.load_subscriptions(connection, space, subscriber_id)
        )

    def create_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Create a subscription; its space's swimlanes are fixed from then on."""
        catalogue = self._catalogue

        def run(connection: sqlite3.Connection) -> None:
            subscriptions.check_is_new(connection, record.space, record.subscriber_id)
            catalogue.add_space(connection, record.space)
            subscriptions.store_subscription(connection, record)

        return self._write(run)

    def store_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Create or replace a subscription; its space's swimlanes are fixed from then on."""
        catalogue = self._catalogue

        def run(connection: sqlite3.Connection) -> None:
            catalogue.add_space(connection, record.space)
            subscriptions.store_subscription(connection, record)

        return self._write(run)

    def change_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Store selection, policy and pause."""
        return self._write(partial(subscriptions.change_subscription, record=record))

    def delete_subscription(self, space: str, subscriber_id: str) -> asyncio.Future[None]:
        """Forget a subscription."""
        return self._write(
            partial(subscriptions.delete_subscription, space=space, subscriber_id=subscriber_id)
        )

    def store_positions(self, positions: Sequence[SwimlanePosition]) -> asyncio.Future[None]:
        """Store positions."""
        return self._write(partial(subscriptions.store_positions, positions=positions))

    def load_dead_letters(
        self, space: str, subscriber_id: str
    ) -> asyncio.Future[list[DeadLetterRecord]]:
        """Return a subscription's dead letters."""
        return self._log.read(
            lambda connection: subscriptions.load_dead_letters(connection, space, subscriber_id)
        )

    def count_dead_letters(self) -> asyncio.Future[dict[tuple[str, str], int]]:
        """Count dead letters."""
        return self._log.read(subscriptions.count_dead_letters)

    def store_dead_letter(
        self, record: DeadLetterRecord, epoch: int | None = None
    ) -> asyncio.Future[None]:
        """Park an event."""
        del epoch  # nobody else could have
        return self._write(partial(subscriptions.store_dead_letter, record=record))

    def delete_dead_letter(
        self, space: str, subscriber_id: str, position: int
    ) -> asyncio.Future[None]:
        """Forget a dead letter."""
        return self._write(
            partial(
                subscriptions.delete_dead_letter,
                space=space,
                subscriber_id=subscriber_id,
                position=position,
            )
        )

    def _write(self, run: Callable[[sqlite3.Connection], None]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        self._writer.put(Statement(run, future))
        return future

    def _end(self, query: LogQuery) -> int:
        head = self._writer.head
        return head if query.until is None else min(query.until, head)

    def _connect(self, cache_bytes: int, *, read_only: bool) -> sqlite3.Connection:
        connection = connect(self._path, cache_bytes=cache_bytes, read_only=read_only)
        self._connections.append(connection)
        return connection

    def _close(self) -> None:
        # The writer's connection was opened first and is closed last: closing the last connection
        # moves the write-ahead log into the file.
        while self._connections:
            self._connections.pop().close()
        self._lock.__exit__(None, None, None)


def _resume(connection: sqlite3.Connection) -> tuple[IdGenerator, int]:
    """Return ids that grow from the last one used, and the head of the log."""
    connection.execute("BEGIN IMMEDIATE")
    stored = connection.execute("SELECT node_number FROM node").fetchone()
    node = stored[0] if stored else new_node_number()
    if stored is None:
        connection.execute("INSERT INTO node VALUES (?)", (node,))
    connection.execute("COMMIT")
    last = connection.execute(
        "SELECT position, event_id FROM events ORDER BY position DESC LIMIT 1"
    ).fetchone()
    head, event_id = last or (0, ZERO_ID)
    return IdGenerator(node, after=max(event_id, highest_copied_id(connection))), head
