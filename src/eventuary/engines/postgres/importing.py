"""A schema that a migration makes: satisfies ``Target``.

One migration has it, by an advisory lock of its session; and the table ``migration`` keeps servers
away. Each page of events is one transaction in the turn to append, copied in by COPY; so whatever
kills the migration, the log is the source's up to some position; its head says where to go on.

Event ids of the source end with numbers of its servers. Numbers of this schema's servers are given
beyond them, as far as they may meet: those that PostgreSQL gives are small, those of SQLite are
drawn from 48 bits.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, cast

from eventuary.engines.copying import Changes, Migration, not_empty
from eventuary.engines.postgres import subscriptions
from eventuary.engines.postgres.database import Connection, check_server
from eventuary.engines.postgres.keys import insert_key
from eventuary.engines.postgres.migrated import read_migration
from eventuary.engines.postgres.schema import bring_up_to_date
from eventuary.engines.postgres.stored import PostgresStored, serving
from eventuary.errors import ConfigurationError
from eventuary.events import LogEvent

#: Node numbers below this are taken to be given by PostgreSQL, one after the other.
_GIVEN_NUMBERS = 1 << 32

#: Seconds until another migration is really there: one that was killed is for a moment yet.
_PATIENCE = 5.0
_PAUSE = 0.1

_LOCK = (
    "SELECT pg_try_advisory_lock((1165390970::bigint << 32) | 'migration'::regclass::oid::bigint)"
)

_COLUMNS = (
    "position",
    "entity_type_no",
    "event_type_no",
    "size",
    "swimlane",
    "event_id",
    "entity_id",
    "triggering_event_token",
    "event_data",
    "metadata",
)

_FIRST_POSITIONS = """
UPDATE event_types t SET first_position = f.position
FROM unnest($1::integer[], $2::bigint[]) AS f (no, position)
WHERE t.event_type_no = f.no AND t.first_position IS NULL
"""

_SKIP_NUMBERS = """
SELECT setval('server_numbers', $1::bigint)
FROM server_numbers WHERE $1 > last_value
"""

_ADD_SPACES = """
INSERT INTO spaces (name, swimlanes)
SELECT name, swimlanes
FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS n (name, swimlanes, no) ORDER BY no
"""

_STORE_SNAPSHOTS = """
INSERT INTO snapshots (entity_type_no, entity_id, entity_version, snapshot_type, json)
SELECT * FROM unnest($1::integer[], $2::text[], $3::text[], $4::bytea[], $5::bytea[])
ON CONFLICT (entity_id, entity_type_no) DO UPDATE SET
    entity_version = excluded.entity_version,
    snapshot_type = excluded.snapshot_type,
    json = excluded.json
"""

#: What a store may hold that is no copy, and how people call it.
_THINGS = (
    ("events", "events"),
    ("subscriptions", "subscriptions"),
    ("api_keys", "API keys"),
    ("spaces", "spaces"),
)


class _Copying(Protocol):
    """What we use of asyncpg's connection beyond ``Connection``."""

    async def copy_records_to_table(
        self, table_name: str, *, records: Iterable[tuple[object, ...]], columns: Sequence[str]
    ) -> str: ...


class PostgresTarget(PostgresStored):
    """``address`` is the database's."""

    async def open(self) -> None:
        """Make the schema if it is not there, and lock it. Raises ConfigurationError."""
        connection = await self.connect()
        with self.told():
            await check_server(connection)
            await bring_up_to_date(connection, self.address)
            deadline = time.monotonic() + _PATIENCE
            while not await connection.fetchval(_LOCK):
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"TARGET: {self.shown}: another migration is making it"
                    )
                await asyncio.sleep(_PAUSE)
            await self.catalogue.load(connection)

    async def begin(self, source: str) -> Migration:
        """Mark it as a copy of ``source``. Raises ConfigurationError."""
        async with self._turn() as connection:
            served_by = await serving(connection)
            if served_by is not None:
                raise ConfigurationError(
                    f"TARGET: {self.shown} is served ({served_by}): stop its servers, or name "
                    "another one"
                )
            found = await read_migration(connection)
            if found is not None:
                return found
            for table, name in _THINGS:
                number = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - names of ours
                if number:
                    raise not_empty(self.shown, number, name)
            await connection.execute(
                "INSERT INTO migration (source, verified, digest) VALUES ($1, 0, '')", source
            )
        return Migration(source, 0, "", None)

    async def import_events(self, events: Sequence[LogEvent]) -> None:
        """Write events as they are, in one transaction."""
        with self.told():
            await self._register(events)
        firsts: dict[int, int] = {}
        records = [self._record(event, firsts) for event in events]
        given = {int(event.event_id[17:29], 16) for event in events}
        async with self._turn() as connection:
            await cast("_Copying", connection).copy_records_to_table(
                "events", records=records, columns=_COLUMNS
            )
            if firsts:
                await connection.execute(_FIRST_POSITIONS, list(firsts), list(firsts.values()))
            await connection.fetch(
                _SKIP_NUMBERS, max((each for each in given if each < _GIVEN_NUMBERS), default=0)
            )
        for number in firsts:
            self.catalogue.note(number)

    async def write(self, changes: Changes) -> None:
        """Write what is not events, in one transaction."""
        catalogue = self.catalogue
        async with self._turn() as connection:
            if changes.spaces:
                await connection.execute(
                    _ADD_SPACES, list(changes.spaces), list(changes.spaces.values())
                )
                await catalogue.load_entity_types(connection)
            if changes.snapshots:
                each = changes.snapshots
                await connection.execute(
                    _STORE_SNAPSHOTS,
                    [catalogue.spaces[s.key.space].entity_types[s.key.entity_type] for s in each],
                    [s.key.entity_id for s in each],
                    [s.entity_version for s in each],
                    [s.snapshot_type.encode() for s in each],
                    [s.json.encode() for s in each],
                )
            for space, subscriber_id in changes.deleted_subscriptions:
                await subscriptions.delete_subscription(connection, space, subscriber_id)
            for record in changes.subscriptions:
                await subscriptions.store_subscription(connection, catalogue, record)
            for gone in changes.deleted_dead_letters:
                await subscriptions.delete_dead_letter(connection, *gone)
            for letter in changes.dead_letters:
                await subscriptions.store_dead_letter(connection, letter, None, 0)
            await connection.execute(
                "DELETE FROM api_keys WHERE key_id = ANY ($1)", changes.deleted_keys
            )
            for key in changes.keys:
                await insert_key(connection, key)

    async def note_verified(self, position: int, digest: str) -> None:
        """Remember how far its events were compared."""
        with self.told():
            await self.connection.execute(
                "UPDATE migration SET verified = $1, digest = $2", position, digest
            )

    async def finish(self) -> None:
        """Let it be served."""
        with self.told():
            await self.connection.execute(
                "UPDATE migration SET finished_at = $1", time.time_ns() // 1_000_000
            )

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[Connection]:
        """A transaction that has the turn to append."""
        connection = self.connection
        with self.told():
            await connection.execute("BEGIN")
            try:
                await connection.execute("SELECT take_turn()")
                yield connection
                await connection.execute("COMMIT")
            except BaseException:
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
                raise

    async def _register(self, events: Sequence[LogEvent]) -> None:
        spaces = self.catalogue.spaces
        new = {
            (event.space, event.type): None
            for event in events
            if event.type not in spaces[event.space].event_types
        }
        if new:
            await self.catalogue.register(self.connection, new)

    def _record(self, event: LogEvent, firsts: dict[int, int]) -> tuple[object, ...]:
        space = self.catalogue.spaces[event.space]
        number = space.event_types[event.type]
        if not self.catalogue.occurs(number):
            firsts.setdefault(number, event.position)
        data = event.event_data.encode()
        metadata = None if event.metadata is None else event.metadata.encode()
        return (
            event.position,
            space.entity_types[event.entity_type],
            number,
            len(data) + len(metadata or b""),
            event.swimlane,
            event.event_id,
            event.entity_id,
            event.triggering_event_token,
            data,
            metadata,
        )
