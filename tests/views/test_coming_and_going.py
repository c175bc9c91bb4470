"""What others see of a view in a SQL database, and do to it, while a generation comes or goes."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Column, Index, Integer, MetaData, Table, create_engine, event, inspect, text
from sqlalchemy.exc import OperationalError

from eventuary.views.generation import GenerationRetired, live
from eventuary.views.sql import SqlDocuments, TableView
from tests.postgres.fixtures import postgres
from tests.postgres.process import PostgresProcess
from tests.views.ledger import BranchDocument, Ledger, Opened

__all__ = ["postgres"]  # a fixture, taken over as it is


async def _filled(ledger: Ledger) -> int:
    """Fill the live generation, and one that is being built; return the latter's number."""
    for number in (await ledger.kept.open_live(), await ledger.kept.open_building()):
        await ledger.kept.apply(number, [ledger.event(1, Opened("b", "Ada"))])
    return number


async def test_sqlite_shows_a_generation_as_a_whole(tmp_path: Path) -> None:
    """Python's driver for it begins no transaction for what makes and drops tables."""
    path = tmp_path / "views.db"
    engine = create_engine(f"sqlite:///{path}")
    ledger = Ledger(SqlDocuments(engine))
    seen: list[tuple[int, int, int]] = []

    def look(*_: object) -> None:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        (generations,), (positions,), (tables,) = (
            connection.execute(f"SELECT count(*) FROM {what}").fetchone()
            for what in (
                "eventuary_view_generations WHERE state <> 'dropped'",
                "eventuary_view_positions",
                "sqlite_master WHERE type = 'table' AND name LIKE 'ledger/_%' ESCAPE '/'",
            )
        )
        connection.close()
        seen.append((generations, positions, tables))

    number = await _filled(ledger)
    event.listen(engine, "after_cursor_execute", look)
    await ledger.kept.drop(number)
    event.remove(engine, "after_cursor_execute", look)
    assert len(seen) > 5, "it looked between the statements"
    assert set(seen) == {(2, 2, 4)}
    look()
    assert seen[-1] == (1, 1, 2)
    await ledger.kept.close()


async def test_nobody_switches_to_what_is_being_dropped(postgres: PostgresProcess) -> None:
    """Another rebuild may have caught up at this moment: what it switched to would be empty."""
    dsn = postgres.url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(dsn)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA views_that_are_dropped"))
    engine.dispose()
    url = f"{dsn}?options=-csearch_path%3Dviews_that_are_dropped"
    engine = create_engine(url)
    dropping = Ledger(SqlDocuments(engine))
    outcomes: list[BaseException | None] = []

    async def switch(number: int) -> None:
        storage = SqlDocuments(f"{url}%20-clock_timeout%3D300")
        try:
            await Ledger(storage).kept.switch(number)
        except (OperationalError, GenerationRetired) as error:
            outcomes.append(error)
        else:
            outcomes.append(None)
        await storage.close()

    def meanwhile(_: object, __: object, statement: str, *___: object) -> None:
        if "DROP TABLE" in statement and not outcomes:
            thread = threading.Thread(target=asyncio.run, args=(switch(number),))
            thread.start()
            thread.join(30)
            assert not thread.is_alive()

    number = await _filled(dropping)
    event.listen(engine, "before_cursor_execute", meanwhile)
    await dropping.kept.drop(number)
    await switch(number)
    waited, refused = outcomes
    assert "lock timeout" in str(waited)
    assert isinstance(refused, GenerationRetired)
    still = live(await dropping.kept.generations())
    assert still is not None
    assert await dropping.branch(still.number) == BranchDocument("b", 1)
    await dropping.kept.close()


@pytest.mark.parametrize("after", [1, 2])
async def test_a_database_that_cant_undo_it_shows_it_as_retired(tmp_path: Path, after: int) -> None:
    """As MySQL, where dropping a table ends the transaction: what is left is dropped later."""
    path = tmp_path / "views.db"
    engine = create_engine(f"sqlite:///{path}")
    ledger = Ledger(SqlDocuments(engine))
    number = await _filled(ledger)
    drops = 0

    def end(connection: object, cursor: sqlite3.Cursor, statement: str, *_: object) -> None:
        nonlocal drops
        if "DROP TABLE" in statement:
            cursor.connection.commit()
            drops += 1
            if drops == after:
                raise RuntimeError("its process is killed")

    event.listen(engine, "after_cursor_execute", end)
    with pytest.raises(RuntimeError):
        await ledger.kept.drop(number)
    event.remove(engine, "after_cursor_execute", end)
    assert drops == after
    with pytest.raises(GenerationRetired):
        await ledger.kept.switch(number)
    assert [str(each.state) for each in await ledger.kept.generations()] == ["live", "retired"]
    await ledger.kept.drop(number)
    assert [str(each.state) for each in await ledger.kept.generations()] == ["live"]
    await ledger.kept.close()


# ── Making ────────────────────────────────────────────────────────────────────────────────────────


async def test_tables_are_made_with_their_indexes_or_not_at_all(tmp_path: Path) -> None:
    """A table that is there is not looked at again: an index would be missing for good."""
    engine = create_engine(f"sqlite:///{tmp_path / 'views.db'}")
    metadata = MetaData()
    Table("sales", metadata, Column("day", Integer, primary_key=True), Column("shop", Integer))
    Index("by_shop", metadata.tables["sales"].c.shop)
    kept = TableView("shops", engine, metadata).kept

    def end(_: object, __: object, statement: str, *___: object) -> None:
        if "CREATE TABLE shops_sales" in statement:
            raise RuntimeError("its process is killed")

    event.listen(engine, "after_cursor_execute", end)
    with pytest.raises(RuntimeError):
        await kept.open_live()
    event.remove(engine, "after_cursor_execute", end)
    number = await kept.open_live()
    with engine.connect() as connection:
        [index] = inspect(connection).get_indexes(f"shops_sales_{number}")
    assert index["column_names"] == ["shop"]
    await kept.close()


async def test_tables_of_what_was_dropped_meanwhile_are_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would drop them any more."""
    url = f"sqlite:///{tmp_path / 'views.db'}"
    opening, other = (Ledger(SqlDocuments(url)) for _ in range(2))
    await opening.kept.open_live()
    dropped = await other.kept.open_building()
    generations = opening.kept._generations  # type: ignore[attr-defined]  # of SQL
    make = generations._make

    async def meanwhile(tables: Sequence[Table], *rest: object) -> None:
        if any(each.name.endswith(f"_{dropped}") for each in tables):
            await other.kept.drop(dropped)
        await make(tables, *rest)

    monkeypatch.setattr(generations, "_make", meanwhile)
    number = await opening.kept.open_building()
    assert number > dropped
    with create_engine(url).connect() as connection:
        tables = inspect(connection).get_table_names()
    assert [each for each in tables if each.endswith(f"_{dropped}")] == []
    assert [each for each in tables if each.endswith(f"_{number}")] != []
    for each in (opening, other):
        await each.kept.close()
