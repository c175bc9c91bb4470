"""Stores read beside their servers, and stores that are made: what each engine promises of both."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from eventuary.engines.copying import Changes, SnapshotKey, Stored, StoredSnapshot, Target
from eventuary.engines.engine import LogQuery
from eventuary.engines.opening import open_engine
from eventuary.engines.postgres.script import grants, schema_script
from eventuary.engines.storing import open_stored, open_target
from eventuary.errors import ConfigurationError
from eventuary.events import Append, EventType, LogEvent
from eventuary.swimlanes import swimlane_of
from tests.engines.contract import APPROVED, CREATED, ORDER
from tests.postgres.by_hand import is_waiting
from tests.postgres.process import PostgresProcess


@pytest.fixture(params=["sqlite", "postgresql", "nats"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'made.db'}"
    made: str = request.getfixturevalue(f"{request.param.removesuffix('ql')}_url")
    return made


def event(position: int, event_id: str, entity_id: str = "one", data: str = "{}") -> LogEvent:
    lane = swimlane_of(ORDER, entity_id, 8)
    return LogEvent(
        position, event_id, "default", ORDER, entity_id, "OrderCreated", data, None, lane, None
    )


def an_id(milliseconds: int, node: int, counter: int = 0) -> str:
    return f"{milliseconds:016x}-{node:012x}{counter:04x}"


async def made(url: str, events: list[LogEvent]) -> Target:
    """Begin a store that holds these events."""
    target = open_target(url, "TARGET")
    await target.open()
    await target.begin("a source")
    await target.write(Changes(spaces={"default": 8}))
    await target.import_events(events)
    return target


async def all_events(stored: Stored, until: int) -> list[LogEvent]:
    found: list[LogEvent] = []
    position = 0
    while page := await stored.read_events(position, until):
        found += page
        position = page[-1].position
    return found


async def test_a_store_that_is_not_finished_is_not_served(url: str) -> None:
    target = await made(url, [event(1, an_id(7, 1))])
    await target.close()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"migration from a source is not finished"):
            await open_engine(url).start(lambda _: None)
    target = open_target(url, "TARGET")
    await target.open()  # no server that was refused is in the way
    assert (await target.begin("a source")).finished_at is None
    await target.finish()
    await target.close()
    engine = open_engine(url)
    await engine.start(lambda _: None)
    assert engine.head == 1
    await engine.stop()


async def test_ids_that_come_later_are_above_all_that_were_copied(url: str) -> None:
    """Servers whose clocks differ have written the log: its last id is not its highest."""
    far = 1 << 45  # a thousand years from now
    events = [event(1, an_id(far, 1)), event(2, an_id(5, 2), "two")]
    target = await made(url, events)
    await target.finish()
    await target.close()
    engine = open_engine(url)
    await engine.start(lambda _: None)
    appended = await engine.append(Append("default", ORDER, "one", an_id(far, 1), [APPROVED]))
    assert appended.entity_version > an_id(far, 1)
    created = await engine.append(Append("default", ORDER, "three", None, [CREATED]))
    assert int(created.entity_version[17:29], 16) not in {1, 2}
    await engine.stop()


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
async def test_positions_are_kept_whatever_lies_between_them(url: str) -> None:
    events = [event(at, an_id(at, 1), f"e{at}") for at in (3, 4, 17, 5_000_000)]
    target = await made(url, events)
    assert await target.head() == 5_000_000
    assert await all_events(target, 5_000_000) == events
    assert await target.read_events(4, 16) == []
    await target.finish()
    await target.close()
    told: list[int] = []
    engine = open_engine(url)
    await engine.start(lambda committed: told.append(committed.head))
    page = await engine.read_log(LogQuery("default", 3))
    assert [each.position for each in page.events] == [4, 17, 5_000_000]
    assert engine.event_types("default") == [EventType(ORDER, "OrderCreated")]
    await engine.append(Append("default", ORDER, None, None, [CREATED]))
    assert told == [5_000_001]
    await engine.stop()


async def test_pages_are_bounded_by_bytes_and_have_an_event(url: str) -> None:
    large = "x" * 3_000_000
    events = [event(at, an_id(at, 1), f"e{at}", large) for at in (1, 2, 3)]
    target = await made(url, events)
    assert [each.position for each in await target.read_events(0, 3)] == [1]
    assert await all_events(target, 3) == events
    keys = [SnapshotKey("default", ORDER, f"e{at}") for at in (1, 2, 3)]
    snapshots = [StoredSnapshot(key, an_id(1, 1), "S", large) for key in keys]
    await target.write(Changes(snapshots=snapshots))
    pages = [page async for page in target.snapshots()]
    assert [len(page) for page in pages] == [1, 1, 1]
    assert [each for page in pages for each in page] == snapshots
    missing = SnapshotKey("nowhere", ORDER, "e1")
    assert await target.find_snapshots([keys[2], missing, keys[0]]) == [
        snapshots[2],
        None,
        snapshots[0],
    ]
    await target.close()


async def test_a_page_that_fails_leaves_nothing_behind(url: str) -> None:
    first = event(1, an_id(1, 1))
    target = await made(url, [first])
    lane = swimlane_of("New", "n", 8)
    new = LogEvent(2, an_id(2, 1), "default", "New", "n", "Newer", "{}", None, lane, None)
    with pytest.raises(Exception, match=r"UNIQUE|unique|position 1 follows 2"):
        await target.import_events([new, event(1, an_id(3, 1))])
    assert await target.head() == 1
    await target.import_events([new])
    assert await all_events(target, 2) == [first, new]
    await target.close()


async def test_one_migration_has_a_target(url: str) -> None:
    target = await made(url, [event(1, an_id(1, 1))])
    other = open_target(url, "TARGET")
    with pytest.raises(ConfigurationError, match=r"another migration|held by another"):
        await other.open()
    await other.close()
    await target.close()


async def test_who_holds_a_source_keeps_its_servers_away(url: str) -> None:
    engine = open_engine(url)
    await engine.start(lambda _: None)
    await engine.append(Append("default", ORDER, None, None, [CREATED]))
    stored = open_stored(url, "SOURCE")
    await stored.open()
    assert await stored.hold() is not None
    await engine.append(Append("default", ORDER, None, None, [CREATED]))
    await engine.stop()
    assert await stored.hold() is None
    assert await stored.hold() is None
    if not url.startswith("postgresql:"):
        with pytest.raises(ConfigurationError, match=r"held by another server|a migration has it"):
            await open_engine(url).start(lambda _: None)
    else:
        dsn, _, schema = url.partition("?schema=")
        server = await asyncpg.connect(dsn, server_settings={"search_path": schema})
        observer = await asyncpg.connect(dsn)
        joining = asyncio.create_task(
            server.execute("SELECT join_servers(0, 'by hand', '1 hour', '{}', '{}', '{}')")
        )
        await is_waiting(observer, server)
        await stored.close()
        await joining
        await server.close()
        await observer.close()
    await stored.close()
    await engine.start(lambda _: None)
    assert engine.head == 2
    await engine.stop()


async def test_a_moment_sees_nothing_that_comes_later(url: str) -> None:
    engine = open_engine(url)
    await engine.start(lambda _: None)
    await engine.append(Append("default", ORDER, None, None, [CREATED]))
    stored = open_stored(url, "SOURCE")
    await stored.open()
    async with stored.moment():
        assert await stored.head() == 1
        await engine.append(Append("new space", "New", "n", None, [CREATED]))
        assert (await stored.head(), list(await stored.spaces())) == (1, ["default"])
        assert len(await stored.read_events(0, 10)) == 1
    assert (await stored.head(), list(await stored.spaces())) == (2, ["default", "new space"])
    assert [each.space for each in await stored.read_events(1, 2)] == ["new space"]
    await stored.close()
    await engine.stop()


async def test_a_role_that_only_serves_may_read_and_make_nothing(
    postgres: PostgresProcess, postgres_url: str
) -> None:
    schema = postgres_url.rpartition("=")[2]
    owner = await asyncpg.connect(postgres.url)
    await owner.execute(schema_script(schema))
    await owner.execute(f"CREATE ROLE {schema}_reads LOGIN")
    await owner.execute(
        grants(schema).replace("-- GRANT", "GRANT").replace("eventuary_server", f"{schema}_reads")
    )
    await owner.close()
    url = f"{postgres.url_of(f'{schema}_reads')}?schema={schema}"
    target = open_target(url, "TARGET")
    await target.open()
    with pytest.raises(ConfigurationError, match=r"permission denied .* as the schema's owner"):
        await target.begin("a source")
    await target.close()
    stored = open_stored(url, "SOURCE")
    await stored.open()
    assert await stored.hold() is None
    async with stored.moment():
        assert (await stored.head(), await stored.keys()) == (0, [])
    await stored.close()
