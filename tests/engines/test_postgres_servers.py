"""Several servers over one database: one log, one winner, one catalogue, ids that never meet."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventuary.engines.engine import Committed, Engine, LogQuery
from eventuary.engines.opening import open_engine
from eventuary.engines.postgres.event_ids import EventIds
from eventuary.errors import EntityExists, OptimisticLockError
from eventuary.events import Append, Appended, EventType, NewEvent
from tests.engines.contract import ORDER, creation, update
from tests.engines.test_postgres_order import Told
from tests.engines.waiting import reached, until
from tests.postgres.by_hand import session


@pytest.fixture
def told() -> list[Told]:
    return [Told(), Told(), Told()]


@pytest.fixture
async def engines(postgres_url: str, told: list[Told]) -> AsyncIterator[list[Engine]]:
    engines = [open_engine(postgres_url) for _ in told]
    for engine, each in zip(engines, told, strict=True):
        await engine.start(each)
    yield engines
    for engine in engines:
        await engine.stop()
    assert not [each.wrong for each in told if each.wrong]


async def test_of_servers_that_update_one_version_one_wins(engines: list[Engine]) -> None:
    created = await asyncio.gather(*(engines[0].append(creation()) for _ in range(30)))
    for one in created:
        outcomes = await asyncio.gather(
            *(engine.append(update(one)) for engine in engines), return_exceptions=True
        )
        assert sorted(type(each).__name__ for each in outcomes) == [
            "Appended",
            "OptimisticLockError",
            "OptimisticLockError",
        ]
    outcomes = await asyncio.gather(
        *(engine.append(creation(entity_id=f"{n}")) for n in range(30) for engine in engines),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Appended) for each in outcomes) == 30
    assert sum(isinstance(each, EntityExists) for each in outcomes) == 60


async def test_each_knows_at_once_what_another_has_committed(engines: list[Engine]) -> None:
    """Who asks has been answered before: nothing may be left to a notification, or a poll."""
    for number in range(30):
        await engines[number % 3].append(creation())
        asked = engines[(number + 1) % 3]
        assert (await asked.newest_heads())[0] == number + 1
        assert asked.head >= number + 1


async def test_an_entity_grows_by_all_servers_without_a_gap(engines: list[Engine]) -> None:
    """Each counts the entity on: what a server has read is what the next one has written."""
    first = await engines[0].append(creation(NewEvent("Counted", "0"), entity_id="counter"))

    async def count(engine: Engine, times: int) -> None:
        while times:
            entity = await engine.load("default", ORDER, first.entity_id, None)
            event = NewEvent("Counted", str(len(entity.events)))
            try:
                await engine.append(update(first, event, version=entity.events[-1].id))
            except OptimisticLockError:
                continue
            times -= 1

    await asyncio.gather(*(count(engine, 10) for engine in engines))
    entity = await engines[0].load("default", ORDER, first.entity_id, None)
    assert [event.event_data for event in entity.events] == [str(n) for n in range(31)]
    ids = [event.id for event in entity.events]
    assert ids == sorted(set(ids))
    assert len({each[17:29] for each in ids}) == 3


async def test_all_servers_tell_the_same_log(engines: list[Engine], told: list[Told]) -> None:
    async def create(engine: Engine, number: int) -> None:
        for n in range(40):
            await engine.append(creation(entity_id=f"{number}.{n}"))

    await asyncio.gather(*(create(engines[n % 3], n) for n in range(5)))
    head = max(engine.head for engine in engines)
    await until(lambda: {each.head for each in told} == {head}, "all servers have told all")
    assert told[0].entities == told[1].entities == told[2].entities
    assert len(set(told[0].entities)) == head == 200


async def test_an_append_is_told_before_it_is_answered(
    engines: list[Engine], told: list[Told]
) -> None:
    """Though another server's events, which this one has not read yet, come before it."""
    for _ in range(20):
        for engine, each in zip(engines, told, strict=True):
            appended = await engine.append(creation())
            assert each.entities[-1] == appended.entity_id
            assert engine.head == each.head
    assert len(told[2].entities) == 60


async def test_what_one_server_has_written_all_can_load(engines: list[Engine]) -> None:
    """At once, be it of a space and a type that they have never heard of."""
    for n, (one, other) in enumerate(itertools.permutations(engines, 2)):
        appended = await one.append(Append(f"s{n}", f"T{n}", "x", None, [NewEvent("E", "{}")]))
        assert len((await other.load(f"s{n}", f"T{n}", "x", None)).events) == 1
        await other.append(
            Append(f"s{n}", f"T{n}", "x", appended.entity_version, [NewEvent("F", "{}")])
        )
        await reached(one, 2 * n + 2)
        assert one.event_types(f"s{n}") == other.event_types(f"s{n}")
        found = await one.read_log(LogQuery(f"s{n}", 0, types=frozenset([EventType(f"T{n}", "F")])))
        assert [event.event_type for event in found.events] == ["F"]


async def test_names_that_are_new_to_all_are_registered_once(engines: list[Engine]) -> None:
    await asyncio.gather(
        *(
            engine.append(Append(f"s{n % 3}", f"T{n % 5}", None, None, [NewEvent(f"E{n}", "{}")]))
            for n in range(60)
            for engine in engines
        )
    )
    await until(lambda: {each.head for each in engines} == {180}, "all servers have read all")
    for space in ("s0", "s1", "s2"):
        types = [engine.event_types(space) for engine in engines]
        assert {len(each) for each in types} == {20}
        assert set(types[0]) == set(types[1]) == set(types[2])


async def test_a_far_head_is_left_to_be_paged(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that would have too much to tell says where the head is, and knows all names."""
    monkeypatch.setattr("eventuary.engines.postgres.publishing._MOST_TOLD", 50)
    behind, ahead = open_engine(postgres_url), open_engine(postgres_url)
    heads: list[tuple[int, bool]] = []
    await behind.start(lambda committed: heads.append((committed.head, committed.events is None)))
    await ahead.start(lambda committed: None)
    await ahead.append_all(
        [creation(NewEvent(f"E{n % 9}", "{}")) for n in range(100)], atomic=False
    )
    await until(lambda: behind.head == 100, "the head is known")
    assert (100, True) in heads
    page = await behind.read_log(LogQuery("default", 0))
    assert len(page.events) == 100
    assert len(behind.event_types("default")) == 9
    await behind.append(creation())
    assert heads[-1] == (101, False)
    await behind.stop()
    await ahead.stop()


async def test_while_nobody_wants_events_those_of_others_are_not_read(postgres_url: str) -> None:
    """Each event is told without being read; who then asks by a new name finds all of it."""
    one, other = open_engine(postgres_url), open_engine(postgres_url)
    told: list[Committed] = []
    await one.start(told.append, lambda _: False)
    await other.start(lambda committed: None)
    own = 0
    for number in range(20):
        await other.append(creation(NewEvent(f"E{number}", "{}")))
        if number % 3 == 0:
            await one.append(creation(NewEvent("Own", "{}")))
            own += 1
    head = (await one.newest_heads())[0]
    assert head == one.head == 20 + own
    events = [event.event_type for each in told for event in each.events or ()]
    assert events == ["Own"] * own
    heads = [each.head for each in told]
    assert heads == sorted(set(heads))
    page = await one.read_log(LogQuery("default", 0, event_types=frozenset(["E19"])))
    assert [event.event_type for event in page.events] == ["E19"]
    await one.stop()
    await other.stop()


async def test_ids_of_an_entity_grow_though_clocks_differ(engines: list[Engine]) -> None:
    membership: Any = engines[1]._membership  # type: ignore[attr-defined]  # PostgreSQL's own
    slow = membership.ids
    membership.ids = EventIds(
        slow.server_no, slow.last, clock=lambda: time.time_ns() - 20_000_000_000
    )
    first = await engines[0].append(creation())
    for engine in (engines[1], engines[0], engines[1]):
        first = await engine.append(update(first))
    entity = await engines[2].load("default", ORDER, first.entity_id, None)
    ids = [event.id for event in entity.events]
    assert ids == sorted(set(ids))
    assert [each[17:29] for each in ids][0::2] == [ids[0][17:29]] * 2


async def test_a_server_whose_number_is_gone_takes_another(
    engines: list[Engine], postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As when it was away for longer than its lease."""
    before = await engines[0].append(creation())
    opened = await session(postgres_url)
    await opened.execute("DELETE FROM servers")
    appended = await asyncio.gather(*(engine.append(creation()) for engine in engines))
    nodes = {each.entity_version[17:29] for each in (before, *appended)}
    assert len(nodes) == 4
    assert "takes another number" in caplog.text
    numbers = {row[0] for row in await opened.fetch("SELECT server_no FROM servers")}
    assert {f"{number:012x}" for number in numbers} >= nodes - {before.entity_version[17:29]}
    await opened.close()


async def test_a_lease_that_ended_is_tidied_up_and_its_number_not_given_again(
    engines: list[Engine], postgres_url: str
) -> None:
    opened = await session(postgres_url)
    gone = await opened.fetchval("SELECT max(server_no) FROM servers")
    await opened.execute("UPDATE servers SET expires = now() - interval '1 s'")
    another = await session(postgres_url)
    rows = await another.fetch("SELECT server_no FROM servers")
    assert len(rows) == 1
    assert rows[0][0] > gone
    await opened.close()
    await another.close()


async def test_a_space_has_one_number_of_swimlanes(postgres_url: str) -> None:
    eight, three = open_engine(postgres_url), open_engine(postgres_url, swimlanes=3)
    await eight.start(lambda committed: None)
    await three.start(lambda committed: None)
    outcomes = await asyncio.gather(
        *(engine.append(creation(space="s")) for engine in (eight, three) for _ in range(20)),
        return_exceptions=True,
    )
    assert not [each for each in outcomes if not isinstance(each, Appended)]
    await until(lambda: eight.head == three.head == 40, "both have read all")
    assert eight.swimlanes("s") == three.swimlanes("s")
    page = await eight.read_log(LogQuery("s", 0))
    assert max(event.swimlane for event in page.events) < eight.swimlanes("s")
    await eight.stop()
    await three.stop()
