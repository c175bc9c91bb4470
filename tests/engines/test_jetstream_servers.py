"""Several servers over one cluster: one log, one winner, one catalogue, ids that never meet."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from eventuary.engines.engine import Committed, Engine, LogQuery
from eventuary.engines.opening import open_engine
from eventuary.errors import Conflict, DuplicateEvent, EntityExists, OptimisticLockError
from eventuary.events import Append, Appended, EventType, LogEvent, NewEvent, NewSnapshot
from tests.engines.contract import CREATED, ORDER, creation, update
from tests.engines.waiting import DEADLINE, reached
from tests.nats.engines import started


class Told:
    """Three engines over one log, and what each was told of it."""

    def __init__(self) -> None:
        self.engines: list[Engine] = []
        self.committed: list[list[Committed]] = []

    def events(self, number: int) -> list[LogEvent]:
        return [event for each in self.committed[number] for event in each.events or ()]


@pytest.fixture
async def servers(nats_url: str) -> AsyncIterator[Told]:
    told = Told()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            told.committed.append([])
            told.engines.append(
                await stack.enter_async_context(started(nats_url, told.committed[-1]))
            )
        yield told


async def test_servers_that_start_at_once_make_one_log(nats_url: str) -> None:
    engines = [open_engine(nats_url) for _ in range(4)]
    await asyncio.gather(*(engine.start(lambda committed: None) for engine in engines))
    await asyncio.gather(*(engine.append(creation()) for engine in engines))
    assert (await engines[0].newest_heads())[0] == 4
    await asyncio.gather(*(engine.stop() for engine in engines))


async def test_what_a_server_has_read_says_nothing_of_what_it_has_not(nats_url: str) -> None:
    """It made the entity, and then reads the last event of it alone: a trigger lies between."""
    one = open_engine(nats_url)
    await one.start(lambda _: None, lambda _: False)  # nobody wants what others append
    async with started(nats_url) as other:
        made = await one.append(creation(entity_id="e"))
        triggered = await other.append(update(made, token="foreign"))
        last = await other.append(update(triggered))
    assert await one.newest_heads() == (3,)
    page = await one.read_log(LogQuery("default", 2))
    assert [event.event_id for event in page.events] == last.event_ids
    with pytest.raises(DuplicateEvent):
        await one.append(update(last, token="foreign"))
    await one.stop()


async def test_all_are_told_one_log_without_gap_or_repeat(servers: Told) -> None:
    """Single appends, batches and refusals at once, from three servers."""

    async def write(number: int, engine: Engine) -> None:
        for n in range(40):
            made = await engine.append(creation(NewEvent("N", f"{number}-{n}")))
            await asyncio.gather(
                engine.append(update(made, CREATED, CREATED)),
                engine.append(creation(CREATED, entity_id=f"shared-{n}")),
                return_exceptions=True,
            )

    await asyncio.gather(*(write(*each) for each in enumerate(servers.engines)))
    head = 3 * 40 * 3 + 40
    for engine in servers.engines:
        await reached(engine, head)
    logged: list[LogEvent] = []
    while len(logged) < head:
        after = logged[-1].position if logged else 0
        logged += (await servers.engines[0].read_log(LogQuery("default", after))).events
    assert [event.position for event in logged] == list(range(1, head + 1))
    for number in range(3):
        assert servers.events(number) == logged
    ids = [event.event_id for event in logged]
    assert len(set(ids)) == len(ids)


async def test_what_one_server_has_answered_the_others_read(servers: Told) -> None:
    """Whatever replica is asked: a load is never older than what was acknowledged before it."""
    first, second, third = servers.engines
    made = await first.append(creation())
    for n in range(60):
        made = await first.append(update(made, NewEvent("N", str(n))))
        for other in (second, third):
            entity = await other.load("default", ORDER, made.entity_id, None)
            assert entity.events[-1].id == made.entity_version


async def test_of_servers_that_saw_the_same_version_one_wins(servers: Told) -> None:
    made = await servers.engines[0].append(creation())
    for n in range(30):
        outcomes = await asyncio.gather(
            *(each.append(update(made, NewEvent("N", str(n)))) for each in servers.engines),
            return_exceptions=True,
        )
        won = [each for each in outcomes if isinstance(each, Appended)]
        assert len(won) == 1
        assert sum(isinstance(each, OptimisticLockError) for each in outcomes) == 2
        made = won[0]


async def test_of_servers_that_create_the_same_entity_one_wins(servers: Told) -> None:
    for n in range(20):
        outcomes = await asyncio.gather(
            *(each.append(creation(entity_id=f"one-{n}")) for each in servers.engines),
            return_exceptions=True,
        )
        assert sum(isinstance(each, Appended) for each in outcomes) == 1
        assert sum(isinstance(each, EntityExists) for each in outcomes) == 2


async def test_an_entity_goes_from_server_to_server(servers: Told) -> None:
    made = await servers.engines[0].append(creation())
    versions = [made.entity_version]
    for n in range(30):
        made = await servers.engines[n % 3].append(update(made))
        versions.append(made.entity_version)
    assert versions == sorted(versions)


async def test_atomic_calls_of_several_servers_are_done_whole_or_not_at_all(servers: Told) -> None:
    calls = [
        engine.append_all(
            [
                creation(entity_id=f"a-{number}-{n}"),
                creation(CREATED, CREATED, entity_id=f"b-{n}"),
                creation(entity_id=f"c-{number}-{n}"),
            ],
            atomic=True,
        )
        for n in range(10)
        for number, engine in enumerate(servers.engines)
    ]
    outcomes = await asyncio.gather(*calls)
    done = [each for each in outcomes if all(isinstance(one, Appended) for one in each)]
    refused = [each for each in outcomes if all(isinstance(one, Conflict) for one in each)]
    assert (len(done), len(refused)) == (10, 20)
    assert (await servers.engines[0].newest_heads())[0] == 40
    page = await servers.engines[0].read_log(LogQuery("default", 0))
    assert len({event.entity_id for event in page.events}) == 30


async def test_servers_wait_until_others_have_closed_batches(
    servers: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they would have more than 50 batches open, which JetStream refuses."""
    monkeypatch.setattr("eventuary.engines.jetstream.writer._PATIENCE", 100.0)  # disks may be slow
    outcomes = await asyncio.gather(
        *(
            engine.append(creation(*[CREATED] * 20))
            for _ in range(150)
            for engine in servers.engines
        )
    )
    assert len(outcomes) == 450
    assert (await servers.engines[0].newest_heads())[0] == 9000


async def test_names_of_one_server_are_known_to_the_others(servers: Told) -> None:
    first, second, _ = servers.engines
    await first.append(Append("new", "T", None, None, [NewEvent("E", "")]))
    await reached(second, 1)
    assert second.event_types("new") == [EventType("T", "E")]
    [event] = (await second.read_log(LogQuery("new", 0))).events
    assert event.swimlane < second.swimlanes("new") == 8


async def test_while_nobody_wants_events_those_of_others_are_not_read(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A look might see this server's own before it is told of it: then it is told as others' are.
    monkeypatch.setattr("eventuary.engines.jetstream.publishing._POLL_EVERY", 3600.0)
    told: list[Committed] = []
    one, other = open_engine(nats_url), open_engine(nats_url)
    await one.start(told.append, lambda _: False)
    await other.start(lambda committed: None)
    for number in range(12):
        await other.append(creation(NewEvent(f"E{number}", "{}")))
        if number % 3 == 0:
            await one.append(creation(NewEvent("Own", "{}")))
    assert (await one.newest_heads())[0] == one.head == 16
    assert [event.event_type for each in told for event in each.events or ()] == ["Own"] * 4
    heads = [each.head for each in told]
    assert heads == sorted(set(heads))
    page = await one.read_log(LogQuery("default", 0, event_types=frozenset(["E11"])))
    assert [event.event_type for event in page.events] == ["E11"]
    await one.stop()
    await other.stop()


async def test_a_type_that_another_server_gives_its_first_snapshot_is_loaded_from_it(
    servers: Told,
) -> None:
    first, second, _ = servers.engines
    made = await first.append(creation())
    assert (await second.load("default", ORDER, made.entity_id, None)).snapshot is None
    await first.append(update(made, snapshot=NewSnapshot("OrderState", "{}")))
    async with asyncio.timeout(DEADLINE):
        while (entity := await second.load("default", ORDER, made.entity_id, None)).events:
            await asyncio.sleep(0.05)
    assert entity.snapshot is not None
    assert entity.snapshot.json == "{}"


async def test_a_head_that_another_server_has_moved_is_heard(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not only seen by the look once a second, which there is none of here."""
    monkeypatch.setattr("eventuary.engines.jetstream.publishing._POLL_EVERY", 3600.0)
    async with started(nats_url) as first, started(nats_url) as second:
        async with asyncio.timeout(DEADLINE):
            while second.head == 0:
                await first.append(creation())
                await asyncio.sleep(0.05)  # what is said may be lost: the next tells it too
