"""Rebuilding a simple view, beside a subscriber that reads the same events and does nothing."""

import asyncio
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from bench.events import ENTITY_TYPE, EVENT_TYPE
from bench.processes import Server, rate, run, server
from bench.row import Effort, Row
from eventuary import connect
from eventuary.events import NewEvent

#: Events of one entity: what a document is read and written for.
_EVENTS_EACH = 5

_AT_ONCE = 64


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the rows about views."""
    events = effort.catch_up_events // 2
    local = directory / "local.db"
    asyncio.run(_fill(f"sqlite:{local}", events))
    reading = list[float]()
    figures: dict[str, list[float]] = {each: [] for each in _WORKS}
    with server(directory) as ours, ExitStack() as stack:
        url = f"http://127.0.0.1:{ours.http}?stomp_port={ours.stomp}"
        asyncio.run(_fill(url, events))
        mongodb = stack.enter_context(_mongodb(directory))
        for number in range(effort.rounds):
            reading.append(_read(ours, events, number))
            with tempfile.TemporaryDirectory(dir=directory) as empty:
                sqlite = f"sqlite:///{empty}/documents.db"
                figures["server"].append(rate("view_rebuild", url, sqlite, "documents"))
                sqlite = f"sqlite:///{empty}/local.db"
                figures["local"].append(
                    rate("view_rebuild", f"sqlite:{local}", sqlite, "documents")
                )
                sqlite = f"sqlite:///{empty}/tables.db"
                figures["tables"].append(rate("view_rebuild", url, sqlite, "tables"))
            if mongodb is not None:
                database = f"{mongodb}/bench_{uuid4().hex}"
                figures["mongodb"].append(rate("view_rebuild", url, database, "documents"))
    return [
        Row(
            work=work,
            ours=figures[each],
            unit="events/s",
            beside="" if target else "a subscriber that only acknowledges",
            theirs=[] if target else reading,
            target=target,
        )
        for each, (work, target) in _WORKS.items()
        if figures[each]
    ]


_WORKS: dict[str, tuple[str, float | None]] = {
    "server": ("rebuild documents in SQLite, from a server", None),
    "local": ("rebuild documents in SQLite, from a store in the same process", 20_000.0),
    "tables": ("rebuild a table in SQLite, one statement an event, from a server", None),
    "mongodb": ("rebuild documents in MongoDB (the tests' server), from a server", 5_000.0),
}


async def _fill(url: str, events: int) -> None:
    numbers = itertools.count()
    append = [NewEvent(EVENT_TYPE, '{"by":2}')] * _EVENTS_EACH

    async def write() -> None:
        while next(numbers) < events // _EVENTS_EACH:
            await store.create("default", ENTITY_TYPE, append)

    async with connect(url) as store:
        await asyncio.gather(*(write() for _ in range(_AT_ONCE)))


def _read(ours: Server, events: int, number: int) -> float:
    return run("remote_reader", ours.http, ours.stomp, f"reader-{number}", events)["rate"]


@contextmanager
def _mongodb(directory: Path) -> Iterator[str | None]:
    """The server at MONGODB_URL, else the tests' own; None where none can be had."""
    given = os.environ.get("MONGODB_URL")
    if given:
        yield given.rstrip("/")
        return
    from tests.mongodb.build import Unavailable, server_command
    from tests.mongodb.mongo_process import MongoProcess

    try:
        command = server_command()
    except Unavailable:
        yield None
        return
    process = MongoProcess(command, directory).start()
    try:
        yield process.url.rstrip("/")
    finally:
        process.close()
