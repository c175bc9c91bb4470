"""Lags: counted rightly, of subscriptions that nobody consumes too, and cheaply."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventuary.delivery import lags as lags_module
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import LogQuery
from eventuary.engines.opening import open_engine
from eventuary.errors import ServiceUnavailable
from eventuary.event_store import Durability
from eventuary.events import NewEvent
from tests.event_store.recorder import Recorder

MOST = 100
PATIENCE = 30.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedEventStore]:
    opened = EmbeddedEventStore(
        open_engine(f"sqlite:{tmp_path / 'e.db'}"), policy=DeliveryPolicy(first_pause=60)
    )
    await opened.start()
    yield opened
    await opened.stop()


async def append(store: EmbeddedEventStore, *types: str) -> None:
    for event_type in types:
        await store.create("s", "T", [NewEvent(event_type, "{}")])


async def subscribe(
    store: EmbeddedEventStore,
    name: str,
    *types: str,
    acknowledging: bool = False,
    durability: Durability = Durability.DURABLE,
) -> Recorder:
    recorder = Recorder(acknowledging=acknowledging)
    recorder.consumer = await store.subscribe(
        "s", name, {"T": types or ["E"]}, recorder, durability=durability
    )
    return recorder


async def leave(recorder: Recorder) -> None:
    assert recorder.consumer is not None
    await recorder.consumer.close()


async def looked(lags: lags_module.Lags, most: int = MOST) -> dict[str, tuple[int, int, int]]:
    """Look; return consumers, lag and dead letters by subscriber, in their order."""
    await lags.look(most, PATIENCE)
    return {
        each.subscriber_id: (each.consumers, each.lag, each.dead_letters) for each in lags.known
    }


async def beyond_positions(store: EmbeddedEventStore, name: str) -> int:
    """Count, by reading the log, what is beyond a subscription's stored positions."""
    [record] = await store.engine.load_subscriptions("s", name)
    page = await store.read_log(LogQuery("s", 0, limit=10_000))
    return sum(
        event.event_type in record.selection["T"]
        and event.position > record.positions[event.swimlane]
        for event in page.events
    )


@pytest.mark.parametrize("seed", range(4))
async def test_it_is_what_is_not_acknowledged(store: EmbeddedEventStore, seed: int) -> None:
    chance = random.Random(seed)
    lags = store.subscriptions.lags()
    done: set[int] = set()
    for _ in range(6):
        await append(store, *chance.choices("EFG", k=chance.randrange(40)))
        recorder = await subscribe(store, "view", "E", "F")
        page = await store.read_log(LogQuery("s", 0, limit=10_000))
        wanted = [each for each in page.events if each.event_type in "EF"]
        [record] = await store.engine.load_subscriptions("s", "view")
        done = {
            each.position for each in wanted if each.position <= record.positions[each.swimlane]
        }
        await recorder.until_events(len(wanted) - len(done))
        answered = chance.sample(recorder.events, chance.randrange(len(recorder.events) + 1))
        recorder.acknowledge(answered)
        lag = len(wanted) - len(done) - len(answered)
        assert await looked(lags) == {"view": (1, lag, 0)}
        assert (await store.subscriptions.inspect("s", "view")).lag == lag
        await append(store, *chance.choices("EFG", k=chance.randrange(10)))  # live, or behind
        page = await store.read_log(LogQuery("s", 0, limit=10_000))
        lag = sum(each.event_type in "EF" for each in page.events) - len(done) - len(answered)
        assert await looked(lags) == {"view": (1, lag, 0)}
        await leave(recorder)
        for _ in range(2):  # what was acknowledged ahead comes again, so it counts again
            lag = await beyond_positions(store, "view")
            assert await looked(lags) == {"view": (0, lag, 0)}
            assert (await store.subscriptions.inspect("s", "view")).lag == lag
            await append(store, *chance.choices("EFG", k=chance.randrange(10)))


async def test_what_changes_an_idle_subscription_is_noticed(store: EmbeddedEventStore) -> None:
    await append(store, *"EEEFF")
    await leave(await subscribe(store, "view"))
    lags = store.subscriptions.lags()
    assert await looked(lags) == {"view": (0, 3, 0)}
    await store.subscriptions.reset("s", "view", {0: 2})
    assert await looked(lags) == {"view": (0, 1, 0)}
    await leave(await subscribe(store, "view", "E", "F"))
    assert await looked(lags) == {"view": (0, 3, 0)}
    await store.subscriptions.reset("s", "view", {0: 5})
    assert await looked(lags) == {"view": (0, 0, 0)}
    await append(store, *"EFG")
    assert await looked(lags) == {"view": (0, 2, 0)}
    await store.subscriptions.delete("s", "view")
    assert await looked(lags) == {}
    await leave(await subscribe(store, "view"))
    assert await looked(lags) == {"view": (0, 4, 0)}


async def test_dead_letters_are_counted_though_nobody_is_there(store: EmbeddedEventStore) -> None:
    await append(store, "E", "E")
    policy = DeliveryPolicy(max_attempts=1)
    recorder = Recorder(acknowledging=False)
    recorder.consumer = await store.subscribe("s", "view", {"T": ["E"]}, recorder, policy=policy)
    await recorder.until_events(2)
    for delivery in recorder.events:
        assert recorder.consumer.refuse(delivery.swimlane, delivery.offset, "broken")
    lags = store.subscriptions.lags()
    # Of two events in one swimlane the second waits for the first.
    parked = len({delivery.swimlane for delivery in recorder.events})
    async with asyncio.timeout(PATIENCE):
        while store.statistics.dead_letters < parked:
            await asyncio.sleep(0.01)
    assert await looked(lags) == {"view": (1, 2, parked)}
    transient = await subscribe(store, "view", durability=Durability.TRANSIENT)
    await transient.until_events(2)
    await lags.look(MOST, PATIENCE)
    assert [(each.durability, each.dead_letters) for each in lags.known] == [
        ("DURABLE", parked),
        ("TRANSIENT", 0),
    ]
    await leave(recorder)
    await leave(transient)
    assert await looked(lags) == {"view": (0, 2, parked)}


async def test_the_consumed_come_first_then_those_furthest_behind(
    store: EmbeddedEventStore,
) -> None:
    names = ["d", "b", "a", "c"]
    for name in names:  # each leaves further on in the log
        await append(store, "E")
        recorder = await subscribe(store, name, acknowledging=True)
        assert recorder.consumer is not None
        await recorder.consumer.caught_up()
        await leave(recorder)
    await append(store, "E")
    connected = await subscribe(store, "z")
    lags = store.subscriptions.lags()
    assert list(await looked(lags)) == ["z", *names]
    assert list(await looked(lags, 3)) == ["z", "d", "b"]
    assert lags.total == 5
    await leave(connected)
    assert list(await looked(lags, 3)) == ["z", "d", "b"]  # it has acknowledged nothing


async def test_what_was_counted_is_not_counted_again(
    store: EmbeddedEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(store, *"EEEEE")
    for name in "abc":
        await leave(await subscribe(store, name))
    lags = store.subscriptions.lags()
    await looked(lags)
    queries: list[LogQuery] = []
    count = store.engine.count

    def noting(query: LogQuery, cap: int) -> asyncio.Future[int]:
        queries.append(query)
        return count(query, cap)

    monkeypatch.setattr(store.engine, "count", noting)
    await append(store, *"EE")
    assert await looked(lags) == dict.fromkeys("abc", (0, 7, 0))
    assert [(each.after, each.until) for each in queries] == [(5, 7)] * 3


async def test_counting_ends_at_the_cap(
    store: EmbeddedEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lags_module, "LAG_CAP", 4)
    await append(store, *"EEE")
    connected = await subscribe(store, "live")
    await connected.until_events(3)
    await leave(await subscribe(store, "idle"))
    lags = store.subscriptions.lags()
    assert await looked(lags) == {"live": (1, 3, 0), "idle": (0, 3, 0)}
    await append(store, *"EEE")
    for _ in range(2):
        assert await looked(lags) == {"live": (1, 4, 0), "idle": (0, 4, 0)}


async def test_nobody_waits_long_for_a_count_that_takes_long(
    store: EmbeddedEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(store, "E")
    for name in "abc":
        await leave(await subscribe(store, name))
    lags = store.subscriptions.lags()
    count = store.engine.count
    may_go_on = asyncio.Event()
    counted = 0

    async def slowly(query: LogQuery, cap: int) -> int:
        nonlocal counted
        counted += 1
        if counted > 1:
            await may_go_on.wait()
        return await count(query, cap)

    monkeypatch.setattr(store.engine, "count", slowly)
    async with asyncio.timeout(PATIENCE):
        while not lags.known:
            await lags.look(MOST, 0.01)
    assert [each.subscriber_id for each in lags.known] == ["a"]
    assert (lags.total, lags.looking) == (3, True)
    may_go_on.set()
    assert await looked(lags) == dict.fromkeys("abc", (0, 1, 0))
    assert counted == 3, "the look that was under way was joined"
    assert not lags.looking


async def test_what_was_known_stays_while_the_storage_can_not_be_read(
    store: EmbeddedEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(store, "E")
    await leave(await subscribe(store, "view"))
    lags = store.subscriptions.lags()
    known = await looked(lags)
    await append(store, "E")

    async def ill(query: LogQuery, cap: int) -> int:
        raise ServiceUnavailable("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(store.engine, "count", ill)
        assert await looked(lags) == known == {"view": (0, 1, 0)}
    assert await looked(lags) == {"view": (0, 2, 0)}


async def test_a_look_ends_with_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EmbeddedEventStore(open_engine(f"sqlite:{tmp_path / 'other.db'}"))
    await store.start()
    await append(store, "E")
    for name in "abc":
        await leave(await subscribe(store, name))
    lags = store.subscriptions.lags()
    count = store.engine.count
    begun, may_go_on = asyncio.Event(), asyncio.Event()

    async def slowly(query: LogQuery, cap: int) -> int:
        begun.set()
        await may_go_on.wait()
        return await count(query, cap)

    monkeypatch.setattr(store.engine, "count", slowly)
    looking = asyncio.create_task(lags.look(MOST, PATIENCE))
    await begun.wait()
    stopping = asyncio.create_task(store.stop())
    await asyncio.sleep(0)  # it has begun
    may_go_on.set()
    await asyncio.wait_for(asyncio.gather(looking, stopping), PATIENCE)
    assert [each.subscriber_id for each in lags.known] == ["a"]
