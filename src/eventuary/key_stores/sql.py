"""The keys of entities in a SQL database: any that SQLAlchemy speaks.

One table, ``eventuary_entity_keys``, made on first use. An entity is found by the hash of its name,
because databases differ in what names they take for the same. A row without a key says that the
entity was forgotten.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    Unicode,
    create_engine,
    event,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, SingletonThreadPool

from eventuary.errors import ConfigurationError, ServiceUnavailable
from eventuary.framework.key_store import EntityName
from eventuary.framework.not_found import EntityForgotten

_T = TypeVar("_T")

#: Milliseconds that SQLite waits for another process's transaction.
_PATIENCE = 30_000

#: For those who make their tables themselves.
ENTITY_KEYS = Table(
    "eventuary_entity_keys",
    MetaData(),
    Column("digest", String(64), primary_key=True),
    Column("space", Unicode(255), nullable=False),
    Column("entity_type", Unicode(255), nullable=False),
    Column("entity_id", Unicode(255), nullable=False),
    Column("entity_key", LargeBinary(32)),
    Column("forgotten_at", DateTime(timezone=True)),
)


class SqlKeyStore:
    """Satisfies ``KeyStore``. ``database``: a URL as SQLAlchemy writes them, or an engine.

    An ordinary engine, not an asynchronous one: calls run in threads, so that every driver will
    do. Raises ConfigurationError for a SQLite database in memory, of which every thread would have
    its own.
    """

    def __init__(self, database: str | Engine) -> None:
        try:
            self._engine = create_engine(database) if isinstance(database, str) else database
        except (SQLAlchemyError, ImportError) as error:
            raise ConfigurationError(f"key store: {error}") from None
        if isinstance(self._engine.pool, SingletonThreadPool):
            raise ConfigurationError(
                "key store: a SQLite database in memory keeps no keys; write sqlite:///PATH"
            )
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _set_up_sqlite)
        self._is_prepared = False

    async def find(self, entity: EntityName) -> bytes | None:
        """Return the entity's key; None when it has none. Raises EntityForgotten."""
        return await self._in_a_thread(lambda connection: _find(connection, entity))

    async def keep(self, entity: EntityName, key: bytes) -> bytes:
        """Keep a key for an entity that has none; return the one it has. Raises EntityForgotten."""
        try:
            await self._in_a_thread(lambda connection: _insert(connection, entity, key, None))
        except IntegrityError:  # it has one
            present = await self.find(entity)
            if present is None:
                raise ServiceUnavailable(
                    f"somebody removed the key of {entity}, which had just been there"
                ) from None
            return present
        return key

    async def destroy(self, entity: EntityName) -> bool:
        """Destroy the entity's key for ever; return whether there was one.

        Old pages, logs and backups of the database may hold it for as long as they are kept.
        """
        try:
            return await self._in_a_thread(lambda connection: _destroy(connection, entity))
        except IntegrityError:  # it got its key, or was forgotten, at this moment: so there is one
            return await self._in_a_thread(lambda connection: _destroy(connection, entity))

    async def close(self) -> None:
        """Close the connections to the database."""
        await asyncio.to_thread(self._engine.dispose)

    async def _in_a_thread(self, work: Callable[[Connection], _T]) -> _T:
        """Run one transaction. Raises IntegrityError, and for all other ills ServiceUnavailable."""

        def transaction() -> _T:
            if not self._is_prepared:
                self._prepare()
            with self._engine.begin() as connection:
                return work(connection)

        try:
            return await asyncio.to_thread(transaction)
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise ServiceUnavailable(f"the key store can't be used: {error}") from error

    def _prepare(self) -> None:
        """Make the table. Of several processes that do so at once, one does it."""
        try:
            ENTITY_KEYS.create(self._engine, checkfirst=True)
        except SQLAlchemyError:
            if not inspect(self._engine).has_table(ENTITY_KEYS.name):
                raise
        self._is_prepared = True


def _set_up_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    # A disk that is slow to sync holds up all who wait for the transaction before theirs.
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}").close()


def _find(connection: Connection, entity: EntityName) -> bytes | None:
    columns = ENTITY_KEYS.c
    row = connection.execute(
        select(columns.entity_key, columns.forgotten_at).where(columns.digest == entity.digest)
    ).one_or_none()
    if row is None:
        return None
    if row.entity_key is None:
        raise EntityForgotten(f"{entity} was forgotten at {row.forgotten_at:%Y-%m-%d %H:%M:%S} UTC")
    return bytes(row.entity_key)


def _insert(
    connection: Connection, entity: EntityName, key: bytes | None, forgotten_at: datetime | None
) -> None:
    connection.execute(
        insert(ENTITY_KEYS).values(
            digest=entity.digest,
            space=entity.space,
            entity_type=entity.entity_type,
            entity_id=entity.entity_id,
            entity_key=key,
            forgotten_at=forgotten_at,
        )
    )


def _destroy(connection: Connection, entity: EntityName) -> bool:
    if connection.dialect.name == "sqlite":
        # What is deleted is overwritten with zeros, which SQLite leaves undone for speed.
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    columns = ENTITY_KEYS.c
    now = datetime.now(UTC)
    destroyed = connection.execute(
        update(ENTITY_KEYS)
        .where(columns.digest == entity.digest, columns.entity_key.is_not(None))
        .values(entity_key=None, forgotten_at=now)
    )
    if destroyed.rowcount:
        return True
    present = select(columns.digest).where(columns.digest == entity.digest)
    if connection.execute(present).first() is None:
        _insert(connection, entity, None, now)
    return False
