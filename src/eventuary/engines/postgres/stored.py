"""A schema read beside its servers, for a migration: satisfies ``Stored``.

Pages are statements by themselves: events never change, and they become visible in the order of
their positions (``take_turn``). A moment is a transaction that sees one state.

To hold it, a transaction takes the turn to append, in which servers join too, finds that none is
there, and stays: a server that is started then waits for its turn, gives up, and says so.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from eventuary.engines.copying import (
    PAGE_BYTES,
    PAGE_EVENTS,
    Migration,
    SnapshotKey,
    StoredSnapshot,
)
from eventuary.engines.engine import DeadLetterRecord, KeyRecord, SubscriptionRecord
from eventuary.engines.postgres import subscriptions
from eventuary.engines.postgres.address import Address
from eventuary.engines.postgres.catalogue import Catalogue
from eventuary.engines.postgres.connecting import connect, disconnect
from eventuary.engines.postgres.database import LOST, Connection, describe
from eventuary.engines.postgres.following import head_of
from eventuary.engines.postgres.keys import read_keys
from eventuary.engines.postgres.migrated import read_migration
from eventuary.engines.postgres.schema import schema_version
from eventuary.engines.postgres.script import migrations
from eventuary.errors import ConfigurationError, ServiceUnavailable
from eventuary.events import LogEvent
from eventuary.swimlanes import DEFAULT_SWIMLANES

#: The oldest schema that is read: servers lease swimlanes from then on.
_OLDEST_SCHEMA = 2

_PAGE = """
SELECT position, event_id, event_type_no, entity_id, event_data, metadata, swimlane,
       triggering_event_token
FROM (
    SELECT page.*, sum(size) OVER (ORDER BY position) AS total FROM (
        SELECT * FROM events WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3
    ) AS page
) AS page
WHERE total <= $4 OR total = size
ORDER BY position
"""

_SNAPSHOTS = """
SELECT entity_type_no, entity_id, entity_version, snapshot_type, json FROM (
    SELECT page.*, sum(octet_length(json)) OVER (ORDER BY entity_id, entity_type_no) AS total FROM (
        SELECT * FROM snapshots WHERE (entity_id, entity_type_no) > ($1, $2)
        ORDER BY entity_id, entity_type_no LIMIT $3
    ) AS page
) AS page
WHERE total <= $4 OR total = octet_length(json)
ORDER BY entity_id, entity_type_no
"""

_FIND_SNAPSHOTS = """
SELECT no, entity_version, snapshot_type, json
FROM unnest($1::integer[], $2::text[]) WITH ORDINALITY AS k (type, entity, no)
JOIN snapshots s ON s.entity_id = k.entity AND s.entity_type_no = k.type
"""

_ENTITY_TYPES = """
SELECT entity_type_no, spaces.name, entity_types.name
FROM entity_types JOIN spaces USING (space_no)
"""

_SERVERS = """
SELECT name FROM servers WHERE expires > now()
UNION SELECT name FROM deliverers WHERE expires > now() ORDER BY name
"""

#: Snapshots of a page, at most.
_PAGE_SNAPSHOTS = 500


class PostgresStored:
    """``address`` is the database's."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.shown = address.shown
        self.catalogue = Catalogue(DEFAULT_SWIMLANES)
        self._connection: Connection | None = None
        self._guard: Connection | None = None
        # By number; what is missing is looked up.
        self._entity_types: dict[int, tuple[str, str]] = {}

    @property
    def connection(self) -> Connection:
        """The connection, which is open."""
        if self._connection is None:
            raise ServiceUnavailable(f"{self.shown} is not open")
        return self._connection

    async def connect(self) -> Connection:
        """Connect. Raises ConfigurationError."""
        try:
            connection = await connect(self.address)
        except (*LOST, asyncpg.PostgresError) as error:
            raise ConfigurationError(f"{self.shown}: can't be opened: {describe(error)}") from error
        self._connection = connection
        await connection.execute("SET idle_in_transaction_session_timeout = 0")
        return connection

    async def open(self) -> None:
        """Connect. Raises ConfigurationError."""
        connection = await self.connect()
        with self.told():
            version = await schema_version(connection, self.address.schema)
            if version == 0:
                raise ConfigurationError(f"{self.shown}: there is no store in this database")
            if not _OLDEST_SCHEMA <= version <= len(migrations()):
                raise ConfigurationError(
                    f"{self.shown}: the schema has version {version}, and {_OLDEST_SCHEMA} to "
                    f"{len(migrations())} can be read"
                )
            await self.catalogue.load(connection)

    async def close(self) -> None:
        """Disconnect, and let servers have it."""
        for connection in (self._connection, self._guard):
            if connection is not None:
                await disconnect(connection)
        self._connection = self._guard = None

    async def hold(self) -> str | None:
        """Take the turn to append, and keep it; returns the servers that are there."""
        if self._guard is not None:
            return None
        with self.told():
            served_by = await serving(self.connection)
            if served_by is not None:
                return served_by
            self._guard = guard = await connect(self.address)
            await guard.execute("SET idle_in_transaction_session_timeout = 0")
            await guard.execute("BEGIN")
            await guard.execute("SELECT take_turn()")
            served_by = await serving(guard)
            if served_by is not None:
                self._guard = None
                await disconnect(guard)
            return served_by

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[None]:
        """Read in one transaction."""
        with self.told():
            await self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            with self.told():
                await self.connection.execute("ROLLBACK")

    async def migration(self) -> Migration | None:
        """Return what it says of a migration."""
        with self.told():
            return await read_migration(self.connection)

    async def head(self) -> int:
        """Return the position of the newest event."""
        with self.told():
            return await head_of(self.connection)

    async def read_events(self, after: int, until: int) -> list[LogEvent]:
        """Read a page of the log."""
        with self.told():
            rows = await self.connection.fetch(_PAGE, after, until, PAGE_EVENTS, PAGE_BYTES)
            await self.catalogue.learn(self.connection, {row[2] for row in rows})
        names = self.catalogue.names
        events = []
        for at, event_id, number, entity_id, data, metadata, swimlane, token in rows:
            space, (entity_type, event_type) = names[number]
            events.append(
                LogEvent(
                    at,
                    event_id,
                    space,
                    entity_type,
                    entity_id,
                    event_type,
                    data.decode(),
                    None if metadata is None else metadata.decode(),
                    swimlane,
                    token,
                )
            )
        return events

    async def spaces(self) -> dict[str, int]:
        """Return the spaces."""
        with self.told():
            rows = await self.connection.fetch(
                "SELECT name, swimlanes FROM spaces ORDER BY space_no"
            )
        return {row[0]: row[1] for row in rows}

    async def snapshots(self) -> AsyncIterator[list[StoredSnapshot]]:
        """Read all snapshots, in pages."""
        after = ("", 0)
        while True:
            page = []
            with self.told():
                rows = await self.connection.fetch(_SNAPSHOTS, *after, _PAGE_SNAPSHOTS, PAGE_BYTES)
                for number, entity_id, version, snapshot_type, json in rows:
                    space, entity_type = await self._entity_type(number)
                    key = SnapshotKey(space, entity_type, entity_id)
                    page.append(StoredSnapshot(key, version, snapshot_type.decode(), json.decode()))
                    after = (entity_id, number)
            if not page:
                return
            yield page

    async def find_snapshots(self, keys: Sequence[SnapshotKey]) -> list[StoredSnapshot | None]:
        """Return the snapshots of these entities."""
        found: list[StoredSnapshot | None] = [None] * len(keys)
        with self.told():
            numbers = {
                (space, entity_type): number
                for number, space, entity_type in await self.connection.fetch(_ENTITY_TYPES)
            }
            rows = await self.connection.fetch(
                _FIND_SNAPSHOTS,
                [numbers.get((key.space, key.entity_type)) for key in keys],
                [key.entity_id for key in keys],
            )
        for no, version, snapshot_type, json in rows:
            key = keys[no - 1]
            found[no - 1] = StoredSnapshot(key, version, snapshot_type.decode(), json.decode())
        return found

    async def count_snapshots(self) -> int:
        """Count the snapshots."""
        with self.told():
            number: int = await self.connection.fetchval("SELECT count(*) FROM snapshots")
        return number

    async def subscriptions(self) -> list[SubscriptionRecord]:
        """Return all subscriptions."""
        with self.told():
            return await subscriptions.load_subscriptions(self.connection, None, None)

    async def dead_letters(self) -> list[DeadLetterRecord]:
        """Return all dead letters."""
        with self.told():
            return [
                record
                for space, subscriber_id in await subscriptions.count_dead_letters(self.connection)
                for record in await subscriptions.load_dead_letters(
                    self.connection, space, subscriber_id
                )
            ]

    async def keys(self) -> list[KeyRecord]:
        """Return the stored API keys."""
        with self.told():
            return await read_keys(self.connection)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what the database says into one line that says of which it is."""
        try:
            yield
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConfigurationError(
                f"{self.shown}: {describe(error)}: name a role that may, as the schema's owner"
            ) from error
        except (*LOST, asyncpg.PostgresError) as error:
            raise ServiceUnavailable(f"{self.shown}: {describe(error)}") from error

    async def _entity_type(self, number: int) -> tuple[str, str]:
        if number not in self._entity_types:
            for each, space, entity_type in await self.connection.fetch(_ENTITY_TYPES):
                self._entity_types[each] = (space, entity_type)
        return self._entity_types[number]


async def serving(connection: Connection) -> str | None:
    """Return the servers that are there, as people know them."""
    rows = await connection.fetch(_SERVERS)
    return ", ".join(row[0] for row in rows) or None
