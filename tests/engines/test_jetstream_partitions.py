"""A log of several streams: each an order of its own, an entity always in the same."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from eventuary.engines.engine import Committed, Engine, LogQuery
from eventuary.engines.opening import open_engine
from eventuary.errors import (
    BadRequest,
    ConfigurationError,
    Conflict,
    DuplicateEvent,
    NotFound,
    OptimisticLockError,
)
from eventuary.events import Append, Appended, EventType, LogEvent, NewEvent, NewSnapshot
from eventuary.swimlanes import swimlane_of
from eventuary.tokens import event_token
from tests.engines.contract import APPROVED, CREATED, ORDER, creation, update
from tests.engines.waiting import until
from tests.nats.engines import started

_STREAMS = 3


@pytest.fixture
def url(nats_url: str) -> str:
    return f"{nats_url}&streams={_STREAMS}"


@pytest.fixture
async def engine(url: str) -> AsyncIterator[Engine]:
    async with started(url) as one:
        yield one


async def pages(engine: Engine, query: LogQuery) -> list[LogEvent]:
    """Read a partition page by page, up to its head."""
    events: list[LogEvent] = []
    while query.after < engine.heads[query.partition]:
        page = await engine.read_log(query)
        assert page.position > query.after
        events += page.events
        query = LogQuery("default", page.position, partition=query.partition, limit=query.limit)
    return events


async def whole_log(engine: Engine) -> list[list[LogEvent]]:
    return [
        (await engine.read_log(LogQuery("default", 0, partition=partition, limit=10_000))).events
        for partition in range(_STREAMS)
    ]


async def test_an_entity_is_in_the_partition_of_its_swimlane(engine: Engine) -> None:
    created = await asyncio.gather(*(engine.append(creation()) for _ in range(60)))
    for one in created:
        await engine.append(update(one, APPROVED, CREATED))
    log = await whole_log(engine)
    assert [len(each) > 0 for each in log] == [True] * _STREAMS
    for partition, events in enumerate(log):
        # Dense, so that an event that is missing is noticed.
        assert [event.position for event in events] == [
            number * _STREAMS + partition for number in range(1, len(events) + 1)
        ]
        assert engine.heads[partition] == events[-1].position
        for event in events:
            assert event.swimlane == swimlane_of(ORDER, event.entity_id, 8)
            assert event.swimlane % _STREAMS == partition
    by_entity = {
        one.entity_id: [
            event.event_id for events in log for event in events if event.entity_id == one.entity_id
        ]
        for one in created
    }
    for one in created:
        history = await engine.load("default", ORDER, one.entity_id, None)
        assert [event.id for event in history.events] == by_entity[one.entity_id]
        assert len(history.events) == 3


async def test_what_is_told_is_what_the_partitions_hold(url: str) -> None:
    """Of two servers that append at once, each tells all of it, in the order of each partition."""
    told: list[list[Committed]] = [[], []]
    async with started(url, told[0]) as one, started(url, told[1]) as other:
        await asyncio.gather(*(each.append(creation()) for _ in range(40) for each in (one, other)))
        assert await one.newest_heads() == await other.newest_heads()
        log = await whole_log(one)
        assert await whole_log(other) == log
        assert sum(map(len, log)) == 80
    for commits in told:
        for partition in range(_STREAMS):
            of_this = [each for each in commits if each.partition == partition]
            assert [event for each in of_this for event in each.events or ()] == log[partition]
            heads = [each.head for each in of_this]
            assert heads == sorted(set(heads))


@pytest.mark.parametrize("limit", [1, 7, 500])
async def test_a_partition_is_read_in_pages_without_gap_or_repeat(
    engine: Engine, limit: int
) -> None:
    # Of these some are in each partition.
    named = (creation(CREATED, APPROVED, entity_id=f"order-{number}") for number in range(30))
    await asyncio.gather(*map(engine.append, named))
    log = await whole_log(engine)
    for partition, events in enumerate(log):
        assert await pages(engine, LogQuery("default", 0, partition=partition, limit=limit)) == (
            events
        )
        middle = events[len(events) // 2].position
        part = await engine.read_log(LogQuery("default", 0, until=middle, partition=partition))
        assert part.events == [event for event in events if event.position <= middle]
        assert part.position == middle
        rest = LogQuery("default", middle, partition=partition)
        assert (await engine.read_log(rest)).events == events[len(part.events) :]
        assert await engine.count(rest, 1000) == len(events) - len(part.events)


async def test_filters_choose_within_a_partition(engine: Engine) -> None:
    for number in range(40):
        await engine.append(
            Append("default", f"T{number % 2}", None, None, [NewEvent(f"E{number % 3}", "{}")])
        )
    log = await whole_log(engine)
    for partition, events in enumerate(log):
        wanted = EventType("T1", "E2")
        query = LogQuery("default", 0, types=frozenset([wanted]), partition=partition)
        assert (await engine.read_log(query)).events == [
            event for event in events if (event.entity_type, event.event_type) == wanted
        ]
        lanes = frozenset([partition, partition + _STREAMS])
        query = LogQuery("default", 0, swimlanes=lanes, partition=partition)
        chosen = [event for event in events if event.swimlane in lanes]
        assert (await engine.read_log(query)).events == chosen
        assert await engine.count(query, 1000) == len(chosen)


async def test_checks_hold_in_every_partition(url: str) -> None:
    token = event_token("view", "0000019200000000-0000000000000001")
    async with started(url) as one, started(url) as other:
        for _ in range(12):
            created = await one.append(creation())
            first = await other.append(update(created, token=token))
            with pytest.raises(OptimisticLockError):
                await one.append(update(created))
            with pytest.raises(DuplicateEvent):
                await one.append(update(first, token=token))
            with pytest.raises(DuplicateEvent):
                await one.load("default", ORDER, created.entity_id, token)
            with pytest.raises(NotFound):
                await other.append(Append("nowhere", ORDER, "none", "1-1", [CREATED]))


async def test_entities_are_found_by_a_server_that_has_other_swimlanes(url: str) -> None:
    """A space's number of swimlanes, which its entities' partitions depend on, is the log's."""
    async with started(url) as one:
        created = [await one.append(creation()) for _ in range(12)]
        later = open_engine(url, swimlanes=5)
        await later.start(lambda committed: None)
        try:
            for each in created:
                entity = await later.load("default", ORDER, each.entity_id, None)
                assert len(entity.events) == 1
                await later.append(update(each))
                history = await one.history("default", ORDER, each.entity_id, "")
                assert len(history) == 2
            new = await later.append(creation(space="new"))
            assert len((await one.load("new", ORDER, new.entity_id, None)).events) == 1
        finally:
            await later.stop()


async def test_snapshots_are_of_every_partition(engine: Engine) -> None:
    for _ in range(9):
        created = await engine.append(creation())
        state = NewSnapshot("S", '{"a":1}')
        await engine.store_snapshot(
            "default", ORDER, created.entity_id, created.entity_version, state
        )
        entity = await engine.load("default", ORDER, created.entity_id, None)
        assert entity.events == []
        assert entity.snapshot is not None
        assert entity.snapshot.json == '{"a":1}'


# ── Atomic calls ────────────────────────────────────────────────────────────────────────────────


def in_partition(partition: int, start: int = 0) -> str:
    """Return an entity id that is in a partition."""
    return next(
        f"e{number}"
        for number in range(start, start + 1000)
        if swimlane_of(ORDER, f"e{number}", 8) % _STREAMS == partition
    )


async def test_new_entities_of_an_atomic_call_are_put_into_one_partition(engine: Engine) -> None:
    for partition in range(_STREAMS):
        outcomes = await engine.append_all(
            [creation(), creation(CREATED, APPROVED), creation(entity_id=in_partition(partition))],
            atomic=True,
        )
        ids = [each.entity_id for each in outcomes if isinstance(each, Appended)]
        assert len(ids) == 3
        assert {swimlane_of(ORDER, each, 8) % _STREAMS for each in ids} == {partition}


async def test_an_atomic_call_over_partitions_is_refused(engine: Engine) -> None:
    one, other = in_partition(0), in_partition(1)
    with pytest.raises(BadRequest, match=f"'{other}' is in another partition"):
        await engine.append_all([creation(entity_id=one), creation(entity_id=other)], atomic=True)
    assert await whole_log(engine) == [[], [], []]
    outcomes = await engine.append_all(
        [creation(entity_id=one), creation(entity_id=other)], atomic=False
    )
    assert all(isinstance(each, Appended) for each in outcomes)


async def test_a_refused_atomic_call_leaves_nothing(engine: Engine) -> None:
    taken, free = in_partition(2), in_partition(2, 500)
    await engine.append(creation(entity_id=taken))
    outcomes = await engine.append_all(
        [creation(entity_id=free), creation(entity_id=taken)], atomic=True
    )
    assert all(isinstance(each, Conflict) for each in outcomes)
    assert sum(map(len, await whole_log(engine))) == 1


# ── How many there are ──────────────────────────────────────────────────────────────────────────


async def test_the_number_is_fixed(url: str, nats_url: str) -> None:
    async with started(url) as engine:
        await engine.append(creation())
        heads = engine.heads
    for streams in (1, 2, 4):
        other = open_engine(f"{nats_url}&streams={streams}")
        with pytest.raises(ConfigurationError, match=f"streams: {streams}, and this log has 3"):
            await other.start(lambda committed: None)
    async with started(nats_url) as engine:  # who names none takes what there is
        assert engine.heads == heads
        assert len(heads) == _STREAMS


async def test_a_log_of_one_stream_stays_one(nats_url: str) -> None:
    async with started(nats_url) as engine:
        assert len(engine.heads) == 1
    other = open_engine(f"{nats_url}&streams=2")
    with pytest.raises(ConfigurationError, match="streams: 2, and this log has 1, which can't be"):
        await other.start(lambda committed: None)


async def test_more_streams_than_swimlanes_are_refused(nats_url: str) -> None:
    engine = open_engine(f"{nats_url}&streams=4", swimlanes=3)
    with pytest.raises(ConfigurationError, match="streams: 4 are more than the 3 swimlanes"):
        await engine.start(lambda committed: None)


@pytest.mark.parametrize("number", ["0", "65", "-1", "two", ""])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(ConfigurationError, match=r"streams: .* is outside 1\.\.64"):
        open_engine(f"nats://h/name?streams={number}")


async def test_while_nobody_wants_events_heads_are_told(url: str) -> None:
    told: list[Committed] = []
    one, other = open_engine(url), open_engine(url)
    await one.start(told.append, lambda _: False)
    await other.start(lambda committed: None)
    for _ in range(20):
        await other.append(creation())
    await until(lambda: one.heads == other.heads, "the heads are known")
    assert all(each.events is None for each in told)
    assert sum(map(len, await whole_log(one))) == 20
    await one.stop()
    await other.stop()
