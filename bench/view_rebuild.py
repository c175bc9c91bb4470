"""A process of its own that rebuilds a simple view: how many events it applies a second.

    python -m bench.view_rebuild STORE STORAGE documents|tables

``STORE``: a URL that ``connect`` takes. ``STORAGE``: of MongoDB or SQLAlchemy. The view counts the
events of each entity and adds up what they hold. Prints ``{"rate": events per second}``, from
before it subscribes until the new generation is live.
"""

import asyncio
import json
import sys
import time

import msgspec
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam
from sqlalchemy.dialects.sqlite import Insert, insert

from bench.events import ENTITY_TYPE, EVENT_TYPE
from eventuary import Event, connect
from eventuary.views import View, ViewContext, rebuild
from eventuary.views.sql import Change, SqlDocuments, TableView
from eventuary.views.storage import DocumentStorage


class Counted(Event, entity=ENTITY_TYPE, name=EVENT_TYPE):
    """A counter goes on."""

    by: int


class Count(msgspec.Struct):
    """A counter's document."""

    name: str
    events: int = 0
    total: int = 0


_METADATA = MetaData()
_COUNTS = Table(
    "counts",
    _METADATA,
    Column("name", String(100), primary_key=True),
    Column("events", Integer, nullable=False),
    Column("total", Integer, nullable=False),
)


def _documents(storage: DocumentStorage) -> View:
    view = View("bench", storage)

    @view.collection("counts", Count).on(Counted)
    def count(counter: Count, event: Counted, _: ViewContext) -> None:
        counter.events += 1
        counter.total += event.by

    return view


def _tables(url: str) -> TableView:
    view = TableView("bench", url, _METADATA)
    statements: dict[str, Insert] = {}

    @view.on(Counted)
    def count(change: Change, event: Counted, context: ViewContext) -> None:
        table = change.table(_COUNTS)
        statement = statements.get(table.name)
        if statement is None:
            inserted = insert(table).values(
                name=bindparam("key"), events=1, total=bindparam("more")
            )
            statement = statements[table.name] = inserted.on_conflict_do_update(
                index_elements=["name"],
                set_={
                    "events": table.c.events + 1,
                    "total": table.c.total + inserted.excluded.total,
                },
            )
        change.execute(statement, {"key": context.entity_id, "more": event.by})

    return view


def _view(storage: str, kind: str) -> View | TableView:
    if kind == "tables":
        return _tables(storage)
    if storage.startswith("mongodb"):
        from eventuary.views.mongodb import MongoDocuments

        return _documents(MongoDocuments(storage))
    return _documents(SqlDocuments(storage))


async def measure(store_url: str, storage: str, kind: str) -> float:
    """Rebuild it once."""
    view = _view(storage, kind)
    done = 0

    def note(progress: object) -> None:
        nonlocal done
        done = progress.done  # type: ignore[attr-defined]  # a Progress

    async with connect(store_url) as store:
        began = time.perf_counter()
        await rebuild(view.declaration, view.kept, store, report=note)
        seconds = time.perf_counter() - began
    await view.kept.close()
    return done / seconds


if __name__ == "__main__":
    print(json.dumps({"rate": asyncio.run(measure(*sys.argv[1:]))}))
