"""Generations of views in a SQL database, and how far the swimlanes of each have come.

A group is applied in one transaction. It begins by locking the row of its generation, so that a
view has one writer at a time however many processes feed it: a swimlane that moved to another
process while its last group was under way, two swimlanes that change the same row, a rebuild that
is switched in the middle - all of these wait for each other here, and then see what was done. The
positions are stored in the same transaction; what is at or below them was applied, and is passed
over. So each event counts once, by construction.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    bindparam,
    case,
    delete,
    insert,
    inspect,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from eventuary.errors import ConfigurationError
from eventuary.views.generation import (
    Generation,
    GenerationRetired,
    GenerationState,
    building,
    live,
    new_tag,
)
from eventuary.views.sql.database import Database
from eventuary.views.view_event import ViewEvent

_U = TypeVar("_U")

_METADATA = MetaData()

GENERATIONS = Table(
    "eventuary_view_generations",
    _METADATA,
    Column("view_name", String(64), primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("tag", String(16), nullable=False),
)

POSITIONS = Table(
    "eventuary_view_positions",
    _METADATA,
    Column("view_name", String(64), primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("swimlane", Integer, primary_key=True, autoincrement=False),
    Column("log_position", BigInteger, nullable=False),
)

#: Whose tables are whose, by their names without the generation: view ``a`` with ``b_c`` and view
#: ``a_b`` with ``c`` would have the same ones. Kept apart from the others: who only reads needs it
#: not. Compared as the database compares the names of tables.
OWNERS = Table(
    "eventuary_view_tables",
    MetaData(),
    Column(
        "table_name",
        String(255).with_variant(String(255, collation="NOCASE"), "sqlite"),
        primary_key=True,
    ),
    Column("view_name", String(64), nullable=False),
)

_MOVE = (
    update(POSITIONS)
    .where(
        POSITIONS.c.view_name == bindparam("view"),
        POSITIONS.c.generation == bindparam("number"),
        POSITIONS.c.swimlane == bindparam("lane"),
    )
    .values(log_position=bindparam("position"))
)
_BEGIN = insert(POSITIONS).values(
    view_name=bindparam("view"),
    generation=bindparam("number"),
    swimlane=bindparam("lane"),
    log_position=bindparam("position"),
)

#: What is left of a dropped generation: its row, so that its number is not used again. A process
#: that has slept, and goes on with what is gone, must not take another one for it.
_DROPPED = "dropped"

#: So often tables are tried to be made. Each failure means that another process has made one.
_MOST_ATTEMPTS = 10


class SqlGenerations:
    """One view's. ``tables`` returns the tables of a generation, made and dropped with it."""

    def __init__(
        self, database: Database, view: str, tables: Callable[[int], Sequence[Table]]
    ) -> None:
        self._database = database
        self._view = view
        self._tables = tables
        self._is_prepared = False

    async def all(self) -> list[Generation]:
        """Return the generations, oldest first."""
        await self._prepare()
        try:
            return await self._database.read(self._read)
        except SQLAlchemyError:
            if not await self._is_gone():
                raise
            return []

    async def open_live(self) -> int:
        """Return the live generation; the first one if there is none.

        Raises ConfigurationError when its tables would be another view's.
        """
        return await self._open(live, GenerationState.LIVE)

    async def open_building(self) -> int:
        """Return the generation that is being built; a new one if there is none."""
        return await self._open(building, GenerationState.BUILDING)

    async def switch(self, number: int) -> None:
        """Let a generation be the live one."""
        await self._database.write(lambda connection: self._switch(connection, number))

    async def retire(self, number: int) -> None:
        """Let a generation be neither fed nor switched to. Raises ValueError when it is live."""
        await self._prepare()
        await self._database.write(lambda connection: self._retire(connection, number))

    async def drop(self, number: int) -> None:
        """Remove a generation and its tables."""
        await self._prepare()
        await self._database.write(lambda connection: self._drop(connection, number))

    async def apply(
        self,
        number: int,
        events: Sequence[ViewEvent[_U]],
        change: Callable[[Connection, Sequence[ViewEvent[_U]]], None],
    ) -> None:
        """Apply those of a group of events that were not, in one transaction.

        Raises GenerationRetired, and what ``change`` raises.
        """
        try:
            await self._database.write(
                lambda connection: self._apply(connection, number, events, change)
            )
        except SQLAlchemyError:
            if await self._is_gone():
                raise GenerationRetired(self._view, number) from None
            raise

    async def _is_gone(self) -> bool:
        """Whether somebody has dropped even the tables of all views."""
        tables = list(_METADATA.tables.values())
        if await self._database.read(lambda connection: _exist(connection, tables)):
            return False
        self._is_prepared = False
        return True

    def _apply(
        self,
        connection: Connection,
        number: int,
        events: Sequence[ViewEvent[_U]],
        change: Callable[[Connection, Sequence[ViewEvent[_U]]], None],
    ) -> None:
        self._lock(connection, number)
        stored = connection.execute(
            select(POSITIONS.c.swimlane, POSITIONS.c.log_position).where(
                POSITIONS.c.view_name == self._view, POSITIONS.c.generation == number
            )
        )
        before: dict[int, int] = {swimlane: position for swimlane, position in stored}  # noqa: C416
        after = dict(before)
        new = []
        for each in events:
            if each.position > after.get(each.swimlane, 0):
                after[each.swimlane] = each.position
                new.append(each)
        if not new:
            return
        change(connection, new)
        self._store(connection, number, before, after)

    def _lock(self, connection: Connection, number: int) -> None:
        """Let no other process change the generation before this transaction ends."""
        if self._locked(connection, number) not in (GenerationState.LIVE, GenerationState.BUILDING):
            raise GenerationRetired(self._view, number)

    def _locked(self, connection: Connection, number: int) -> str | None:
        """Lock the row of a generation, and return what it says; None: there is no such row.

        It is written, not only read: only that begins a transaction with SQLite's driver, which
        would carry out the making and dropping of tables one by one without.
        """
        row = self._row(number)
        connection.execute(update(GENERATIONS).where(*row).values(state=GENERATIONS.c.state))
        state: str | None = connection.execute(select(GENERATIONS.c.state).where(*row)).scalar()
        return state

    def _row(self, number: int) -> tuple[ColumnElement[bool], ...]:
        return (GENERATIONS.c.view_name == self._view, GENERATIONS.c.generation == number)

    def _store(
        self, connection: Connection, number: int, before: dict[int, int], after: dict[int, int]
    ) -> None:
        moved = [
            {"view": self._view, "number": number, "lane": swimlane, "position": position}
            for swimlane, position in after.items()
            if before.get(swimlane) != position
        ]
        known = [each for each in moved if each["lane"] in before]
        if known:
            connection.execute(_MOVE, known)
        fresh = [each for each in moved if each["lane"] not in before]
        if fresh:
            connection.execute(_BEGIN, fresh)

    async def _prepare(self) -> None:
        """Make the tables of all views, unless they are there."""
        if not self._is_prepared:
            for table in _METADATA.tables.values():
                await self._make_one(table)
            self._is_prepared = True

    async def _make_one(self, table: Table) -> None:
        await self._make([table], lambda connection: _create(connection, [table]))

    async def _make(self, tables: Sequence[Table], create: Callable[[Connection], None]) -> None:
        """Make the tables that are not there, though other processes do so at this moment."""
        for attempt in range(_MOST_ATTEMPTS):
            try:
                await self._database.write(create)
            except SQLAlchemyError:
                # Another process was faster with one of them; or this one may make none, and they
                # are there.
                if await self._database.read(lambda connection: _exist(connection, tables)):
                    return
                if attempt == _MOST_ATTEMPTS - 1:
                    raise
            else:
                return

    async def _open(
        self, wanted: Callable[[list[Generation]], Generation | None], state: GenerationState
    ) -> int:
        await self._prepare()
        await self._make_one(OWNERS)
        while True:
            try:
                number = await self._database.write(
                    lambda connection: self._find_or_begin(connection, wanted, state)
                )
            except IntegrityError:
                continue  # another process was faster
            tables = self._tables(number)

            def create(
                connection: Connection, number: int = number, tables: Sequence[Table] = tables
            ) -> None:
                self._lock(connection, number)  # it is not dropped meanwhile
                _create(connection, tables)

            # The view may have a collection that it had not when this was made.
            try:
                await self._make(tables, create)
            except GenerationRetired:
                continue
            return number

    def _find_or_begin(
        self,
        connection: Connection,
        wanted: Callable[[list[Generation]], Generation | None],
        state: GenerationState,
    ) -> int:
        """Of several at the same time, one begins it; the others find its number taken.

        For that, what is there and what comes next must be seen in one look.
        """
        rows = self._rows(connection)
        present = wanted(_present(rows))
        if present is not None:
            self._own(connection, present.number)
            return present.number
        number = max((row.generation for row in rows), default=0) + 1
        self._own(connection, number)
        connection.execute(
            insert(GENERATIONS).values(
                view_name=self._view, generation=number, state=state, since=_now(), tag=new_tag()
            )
        )
        return number

    def _own(self, connection: Connection, number: int) -> None:
        """Note that the tables are this view's. Raises ConfigurationError for another one's."""
        names = {each.fullname.removesuffix(f"_{number}") for each in self._tables(number)}
        for name in sorted(names):
            owner = connection.execute(
                select(OWNERS.c.view_name).where(OWNERS.c.table_name == name)
            ).scalar()
            if owner is None:
                connection.execute(insert(OWNERS).values(table_name=name, view_name=self._view))
            elif owner != self._view:
                raise ConfigurationError(
                    f"view {self._view!r}: its tables {name}_… would be those of view {owner!r}: "
                    f"give one of them another name (or, if there is no view {owner!r} any more, "
                    f"delete its rows in {OWNERS.name})"
                )

    def _read(self, connection: Connection) -> list[Generation]:
        return _present(self._rows(connection))

    def _rows(self, connection: Connection) -> Sequence[Row[Any]]:
        return connection.execute(
            select(GENERATIONS)
            .where(GENERATIONS.c.view_name == self._view)
            .order_by(GENERATIONS.c.generation)
        ).fetchall()

    def _switch(self, connection: Connection, number: int) -> None:
        self._lock(connection, number)
        table = GENERATIONS.c
        connection.execute(
            update(GENERATIONS)
            .where(
                table.view_name == self._view,
                or_(table.generation == number, table.state == GenerationState.LIVE),
            )
            .values(
                state=case(
                    (table.generation == number, GenerationState.LIVE.value),
                    else_=GenerationState.RETIRED.value,
                ),
                since=_now(),
            )
        )

    def _retire(self, connection: Connection, number: int) -> bool:
        """Return whether it is there."""
        state = self._locked(connection, number)
        if state == GenerationState.LIVE:
            raise ValueError(f"generation {number} of view {self._view!r} is live")
        if state == GenerationState.BUILDING:
            self._mark(connection, number, GenerationState.RETIRED)
        return state not in (None, _DROPPED)

    def _drop(self, connection: Connection, number: int) -> None:
        # Where dropping a table ends the transaction (MySQL), it is retired that others see
        # meanwhile: nobody switches to it, and whoever finds it drops the rest.
        if not self._retire(connection, number):
            return
        for table in self._tables(number):
            table.drop(connection, checkfirst=True)
        connection.execute(
            delete(POSITIONS).where(
                POSITIONS.c.view_name == self._view, POSITIONS.c.generation == number
            )
        )
        self._mark(connection, number, _DROPPED)

    def _mark(self, connection: Connection, number: int, state: str) -> None:
        connection.execute(
            update(GENERATIONS).where(*self._row(number)).values(state=state, since=_now())
        )


def _present(rows: Sequence[Row[Any]]) -> list[Generation]:
    return [
        Generation(row.generation, GenerationState(row.state), row.since, row.tag)
        for row in rows
        if row.state != _DROPPED
    ]


def _create(connection: Connection, tables: Sequence[Table]) -> None:
    for table in tables:
        table.create(connection, checkfirst=True)


def _exist(connection: Connection, tables: Sequence[Table]) -> bool:
    """Return whether all of these tables are there."""
    return all(inspect(connection).has_table(table.name, table.schema) for table in tables)


def _now() -> int:
    return time.time_ns() // 1_000_000
