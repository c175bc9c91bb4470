"""Documents in a SQL database: a table a collection and generation, a row a document, as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from eventuary.views.collection import (
    MOST_KEY_CHARACTERS,
    Collection,
    DocumentUpdate,
    Step,
    UnreadableDocument,
    fold,
    steps_by_document,
)
from eventuary.views.generation import Generation
from eventuary.views.sql.database import Database, is_missing, is_unreachable
from eventuary.views.sql.generations import SqlGenerations
from eventuary.views.view_event import UpdateFailed, ViewEvent

_D = TypeVar("_D")

#: Keys of one SELECT: every database takes so many.
_AT_ONCE = 500

#: Keys are compared byte by byte, whatever the database usually does.
_KEY = (
    String(MOST_KEY_CHARACTERS)
    .with_variant(String(MOST_KEY_CHARACTERS, collation="utf8mb4_0900_bin"), "mysql")
    .with_variant(String(MOST_KEY_CHARACTERS, collation="utf8mb4_nopad_bin"), "mariadb")
    .with_variant(String(MOST_KEY_CHARACTERS, collation="Latin1_General_BIN2"), "mssql")
)

#: With a length, for databases whose ordinary text holds only 64 KB.
_DOCUMENT = Text().with_variant(Text(16 * 1024 * 1024), "mysql", "mariadb")

_encode = msgspec.json.Encoder(decimal_format="string").encode


class SqlDocuments:
    """Satisfies ``DocumentStorage``. ``database``: a URL as SQLAlchemy writes them, or an engine,
    not an asynchronous one. Raises ConfigurationError for what can't be one.
    """

    def __init__(self, database: str | Engine) -> None:
        self._database = Database(database)

    def keep(self, view: str, collections: Mapping[str, Collection[Any]]) -> "KeptInSql":
        """Return a view's place in it."""
        return KeptInSql(self._database, view, collections)

    async def close(self) -> None:
        """Close its connections."""
        await self._database.close()


class KeptInSql:
    """Satisfies ``KeptDocuments``. Made by ``SqlDocuments.keep``."""

    def __init__(
        self, database: Database, view: str, collections: Mapping[str, Collection[Any]]
    ) -> None:
        self.view = view
        self._database = database
        self._collections = collections
        self._generations = SqlGenerations(database, view, self._tables)
        self._known: dict[tuple[int, str], _Statements] = {}

    async def generations(self) -> list[Generation]:
        """Return the generations."""
        return await self._generations.all()

    async def open_live(self) -> int:
        """Return the live generation."""
        return await self._generations.open_live()

    async def open_building(self) -> int:
        """Return the generation that is being built."""
        return await self._generations.open_building()

    async def switch(self, number: int) -> None:
        """Let a generation be the live one."""
        await self._generations.switch(number)

    async def retire(self, number: int) -> None:
        """Let a generation be neither fed nor switched to."""
        await self._generations.retire(number)

    async def drop(self, number: int) -> None:
        """Remove a generation."""
        await self._generations.drop(number)

    async def apply(self, number: int, events: Sequence[ViewEvent[DocumentUpdate]]) -> None:
        """Apply a group."""
        await self._generations.apply(
            number,
            events,
            lambda connection, new: self._change(connection, number, new),
        )

    async def get(self, number: int, collection: Collection[_D], key: str) -> _D | None:
        """Read a document."""
        statements = self._statements(number, collection.name)
        stored = await self._database.read(
            lambda connection: _read_one(connection, statements, key)
        )
        return None if stored is None else collection.decode(key, stored)

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()

    def _change(
        self, connection: Connection, number: int, events: Sequence[ViewEvent[DocumentUpdate]]
    ) -> None:
        for name, steps in steps_by_document(events).items():
            statements = self._statements(number, name)
            stored = _read(connection, statements, list(steps))
            changes = _Changes(self._collections[name], stored, steps)
            for statement, rows in (
                (statements.insert, changes.inserted),
                (statements.update, changes.updated),
                (statements.delete, changes.deleted),
            ):
                if rows:
                    connection.execute(statement, rows)

    def _tables(self, number: int) -> list[Table]:
        return [self._statements(number, name).table for name in self._collections]

    def _statements(self, number: int, collection: str) -> "_Statements":
        known = self._known.get((number, collection))
        if known is None:
            known = self._known[number, collection] = _Statements(
                Table(
                    f"{self.view}_{collection}_{number}",
                    MetaData(),
                    Column("document_key", _KEY, primary_key=True),
                    Column("document", _DOCUMENT, nullable=False),
                )
            )
        return known


class _Statements:
    """What is said to one table."""

    def __init__(self, table: Table) -> None:
        self.table = table
        key, document = table.c.document_key, table.c.document
        self.one = select(document).where(key == bindparam("key"))
        self.some = select(key, document).where(key.in_(bindparam("keys", expanding=True)))
        self.insert = insert(table).values(
            document_key=bindparam("key"), document=bindparam("json")
        )
        self.update = (
            update(table).where(key == bindparam("key")).values(document=bindparam("json"))
        )
        self.delete = delete(table).where(key == bindparam("key"))


def _read_one(connection: Connection, statements: "_Statements", key: str) -> str | None:
    try:
        found: str | None = connection.execute(statements.one, {"key": key}).scalar()
    except SQLAlchemyError as error:
        if is_unreachable(error) or not is_missing(error):
            raise
        return None  # its generation was dropped, or is about to be made
    return found


def _read(connection: Connection, statements: _Statements, keys: list[str]) -> dict[str, str]:
    stored: dict[str, str] = {}
    for first in range(0, len(keys), _AT_ONCE):
        rows = connection.execute(statements.some, {"keys": keys[first : first + _AT_ONCE]})
        stored.update((key, document) for key, document in rows)
    return stored


class _Changes:
    """What a group makes of the documents of a collection. Raises UpdateFailed."""

    def __init__(
        self,
        collection: Collection[Any],
        stored: dict[str, str],
        steps: dict[str, list[Step]],
    ) -> None:
        self.inserted: list[dict[str, str]] = []
        self.updated: list[dict[str, str]] = []
        self.deleted: list[dict[str, str]] = []
        for key, of_document in steps.items():
            before = stored.get(key)
            present = None if before is None else _decoded(collection, key, before, of_document)
            document = fold(collection, key, present, of_document)
            if document is None:
                if before is not None:
                    self.deleted.append({"key": key})
                continue
            row = {"key": key, "json": _json_of(document, of_document)}
            (self.inserted if before is None else self.updated).append(row)


def _decoded(collection: Collection[_D], key: str, stored: str, steps: list[Step]) -> _D:
    try:
        return collection.decode(key, stored)
    except UnreadableDocument as error:
        raise UpdateFailed.of(steps[0][0], error) from error


def _json_of(document: object, steps: list[Step]) -> str:
    try:
        return _encode(document).decode()
    except Exception as error:
        # The last event is as good as any other that changed it: none of them gets further.
        raise UpdateFailed.of(steps[-1][0], error) from error
