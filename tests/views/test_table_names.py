"""Two views never have the same table, though their names may be put together to the same one."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, text

from eventuary import ConfigurationError
from eventuary.views import View
from eventuary.views.sql import SqlDocuments, TableView
from eventuary.views.storage import DocumentStorage
from tests.views.ledger import AccountDocument


def _sales(storage: DocumentStorage, name: str, *collections: str) -> View:
    view = View(name, storage)
    for each in collections:
        view.collection(each, AccountDocument)
    return view


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'views.db'}"


async def test_the_second_of_two_views_with_the_same_table_is_refused(url: str) -> None:
    storage = SqlDocuments(url)
    first = _sales(storage, "sales", "customers", "eu_orders")
    second = _sales(storage, "sales_eu", "orders")
    await first.kept.open_live()
    for _ in range(2):
        with pytest.raises(
            ConfigurationError, match=r"'sales_eu': its tables sales_eu_orders_… .* view 'sales'"
        ):
            await second.kept.open_live()
    assert await second.kept.generations() == []
    # Neither is one that has other numbers by now, or has a new collection.
    await first.kept.switch(await first.kept.open_building())
    await first.kept.drop(1)
    with pytest.raises(ConfigurationError):
        await second.kept.open_live()
    apart = _sales(storage, "sales_eu", "customers")
    assert await apart.kept.open_live() == 1
    apart.collection("orders", AccountDocument)
    with pytest.raises(ConfigurationError):
        await apart.kept.open_live()
    assert await first.kept.open_live() == 2
    await storage.close()


async def test_tables_of_ones_own_are_as_apart(url: str) -> None:
    storage = SqlDocuments(url)
    metadata = MetaData()
    Table("orders", metadata, Column("number", Integer, primary_key=True))
    await _sales(storage, "sales", "eu_orders").kept.open_live()
    for name in ("sales_eu", "Sales_EU"):
        view = TableView(name, url, metadata)
        with pytest.raises(ConfigurationError, match="view 'sales'"):
            await view.kept.open_live()
        await view.kept.close()
    await storage.close()


async def test_one_of_two_at_once_is_refused(url: str) -> None:
    storages = [SqlDocuments(url) for _ in range(2)]
    opened = await asyncio.gather(
        _sales(storages[0], "sales", "eu_orders").kept.open_live(),
        _sales(storages[1], "sales_eu", "orders").kept.open_live(),
        return_exceptions=True,
    )
    assert [type(each) for each in opened if each != 1] == [ConfigurationError]
    for each in storages:
        await each.close()


async def test_a_view_that_was_there_before_keeps_its_tables(url: str) -> None:
    storage = SqlDocuments(url)
    view = _sales(storage, "sales", "orders")
    await view.kept.open_live()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE eventuary_view_tables"))
    again = _sales(storage, "sales", "orders")
    assert await again.kept.generations() == await view.kept.generations()
    assert await again.kept.open_live() == 1
    with engine.begin() as connection:
        rows = connection.execute(text("SELECT * FROM eventuary_view_tables")).fetchall()
    assert [tuple(each) for each in rows] == [("sales_orders", "sales")]
    engine.dispose()
    await storage.close()
