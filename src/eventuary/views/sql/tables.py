"""TableView: a view of tables of the user's own, changed by statements of the user's own.

    sales = TableView("sales", "postgresql+psycopg://…", metadata)

    @sales.on(OrderApproved)
    def count(change: Change, event: OrderApproved, context: ViewContext) -> None:
        days = change.table(DAYS)
        change.execute(update(days).where(…).values(total=days.c.total + event.total))

An update gets the transaction in which the view's position is stored: all that it does there
happens once. No other process changes the view meanwhile, so that it may read what it changes.
Each generation has tables of its own, named ``<view>_<table>_<generation>``; ``change.table`` gives
an update those of its generation, ``TableView.table`` gives a query those of the live one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, MetaData, Table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import quoted_name

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.event_store import EventStore
from eventuary.events import DEFAULT_SPACE
from eventuary.framework.encryption import Encryption
from eventuary.framework.event import AnyEvent
from eventuary.views.declaration import Declaration, ViewStatus
from eventuary.views.feeding import RunningView
from eventuary.views.generation import Generation
from eventuary.views.reading import Reading
from eventuary.views.sql.database import Database, first_line, is_unreachable
from eventuary.views.sql.generations import SqlGenerations
from eventuary.views.status import status_of
from eventuary.views.view_context import ViewContext
from eventuary.views.view_event import UpdateFailed, ViewEvent

_E = TypeVar("_E", bound=AnyEvent)


class Change:
    """The transaction in which an event is applied. It ends, one way or the other, by itself."""

    def __init__(self, connection: Connection, tables: Callable[[Table], Table]) -> None:
        #: The transaction's connection. Never commit, roll back or close it.
        self.connection = connection
        self._tables = tables

    def table(self, table: Table) -> Table:
        """Return a table of the view as its present generation has it."""
        return self._tables(table)

    def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[Any]:
        """Carry out a statement within the transaction."""
        return self.connection.execute(statement, parameters)


TableUpdate = Callable[[Change, Any, ViewContext], None]


class TableView:
    """``database``: a URL as SQLAlchemy writes them, or an engine, not an asynchronous one.

    ``metadata``: its tables, which must not refer to each other by foreign keys. For the rest,
    see ``View``. Raises ConfigurationError for what can't be a database.
    """

    def __init__(
        self,
        name: str,
        database: str | Engine,
        metadata: MetaData,
        *,
        space: str = DEFAULT_SPACE,
        policy: DeliveryPolicy | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        self.declaration: Declaration[TableUpdate] = Declaration(name, space, policy, encryption)
        self.kept = KeptTables(Database(database), name, metadata)
        self._reading = Reading(self.kept)

    @property
    def name(self) -> str:
        """Its name."""
        return self.declaration.name

    def on(
        self, *event_classes: type[_E]
    ) -> Callable[
        [Callable[[Change, _E, ViewContext], None]], Callable[[Change, _E, ViewContext], None]
    ]:
        """Let a function change the tables when such an event comes."""
        if not event_classes:
            raise TypeError("on() takes the event types: @sales.on(OrderApproved)")

        def register(
            function: Callable[[Change, _E, ViewContext], None],
        ) -> Callable[[Change, _E, ViewContext], None]:
            self.declaration.add(event_classes, function)
            return function

        return register

    async def table(self, table: Table) -> Table:
        """Return a table as the generation has it that is to be read, for a query made now.

        Raises ServiceUnavailable, and LookupError when the view was never fed.
        """
        generation = await self._reading.generation()
        if generation is None:
            raise LookupError(f"view {self.name!r} was never fed: async with running(store, view)")
        return self.kept.table(generation, table)

    def at_work(self, store: EventStore) -> RunningView[TableUpdate]:
        """Return what feeds it from ``store``; ``running`` does that."""
        return RunningView(self.declaration, self.kept, store, self._reading)

    async def caught_up_with(self, version: str | int, *, timeout: float = 10.0) -> None:
        """Return when what is read here includes an event; see ``View.caught_up_with``."""
        await self._reading.caught_up_with(version, timeout)

    async def status(self, store: EventStore) -> ViewStatus:
        """Return where it stands, whichever processes feed it. Raises ServiceUnavailable."""
        return await status_of(self.declaration, self.kept, store)


class KeptTables:
    """Satisfies ``KeptView``."""

    def __init__(self, database: Database, view: str, metadata: MetaData) -> None:
        self.view = view
        self._database = database
        self._metadata = metadata
        self._generations = SqlGenerations(database, view, self._tables)
        self._known: dict[tuple[int, str], Table] = {}

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

    async def apply(self, number: int, events: Sequence[ViewEvent[TableUpdate]]) -> None:
        """Apply a group."""

        def change(connection: Connection, new: Sequence[ViewEvent[TableUpdate]]) -> None:
            transaction = Change(connection, lambda table: self.table(number, table))
            for event in new:
                for function in event.updates:
                    _carry_out(function, transaction, event)

        await self._generations.apply(number, events, change)

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()

    def table(self, number: int, table: Table) -> Table:
        """Return a table as a generation has it. Raises LookupError for one of another view."""
        if self._metadata.tables.get(table.key) is not table:
            raise LookupError(f"table {table.name!r} is not in the metadata of {self.view!r}")
        known = self._known.get((number, table.key))
        if known is None:
            known = table.to_metadata(MetaData(), name=f"{self.view}_{table.name}_{number}")
            # Some databases want such names to be unlike all others.
            for index in known.indexes:
                index.name = _renamed(index.name, number)
            for constraint in known.constraints:
                constraint.name = _renamed(constraint.name, number)
            self._known[number, table.key] = known
        return known

    def _tables(self, number: int) -> list[Table]:
        return [self.table(number, each) for each in self._metadata.sorted_tables]


def _carry_out(function: TableUpdate, transaction: Change, event: ViewEvent[TableUpdate]) -> None:
    try:
        function(transaction, event.event, event.context)
    except SQLAlchemyError as error:
        if is_unreachable(error):
            raise
        raise UpdateFailed.of(event, first_line(error)) from error
    except Exception as error:
        raise UpdateFailed.of(event, error) from error


def _renamed(name: object, number: int) -> quoted_name | None:
    return quoted_name(f"{name}_{number}", quote=None) if isinstance(name, str) else None
