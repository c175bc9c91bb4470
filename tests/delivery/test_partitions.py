"""Delivery from a log of several partitions: a swimlane is in one, a subscription in all."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from eventuary.delivery import feeding
from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import LogQuery
from eventuary.engines.jetstream.leasing import JetStreamLeasing
from eventuary.engines.opening import open_engine
from eventuary.errors import BadRequest
from eventuary.event_store import ReadFrom
from eventuary.events import LogEvent, NewEvent
from tests.event_store.recorder import Recorder

_STREAMS = 3
_SELECTION = {"T": ["E"]}
_PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _leases_that_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than any machine stands still: what comes again then is no matter of these tests."""
    monkeypatch.setattr(JetStreamLeasing, "lease_seconds", 60.0)


@pytest.fixture
async def store(nats_url: str) -> AsyncIterator[EmbeddedEventStore]:
    async with EmbeddedEventStore(open_engine(f"{nats_url}&streams={_STREAMS}")) as opened:
        yield opened


async def append(store: EmbeddedEventStore, *numbers: int) -> None:
    """Append the numbers to five entities in turn; each entity's grow."""
    for number in numbers:
        entity_id = f"e{number % 5}"
        events = [NewEvent("E", str(number))]
        entity = await store.load("s", "T", entity_id)
        if entity.events:
            await store.append("s", "T", entity_id, entity.events[-1].id, events)
        else:
            await store.create("s", "T", events, entity_id=entity_id)


async def subscribe(
    store: EmbeddedEventStore,
    *,
    acknowledging: bool = True,
    read_from: ReadFrom = ReadFrom.BEGINNING,
    policy: DeliveryPolicy | None = None,
) -> Recorder:
    recorder = Recorder(acknowledging=acknowledging)
    recorder.consumer = await store.subscribe(
        "s", "view", _SELECTION, recorder, read_from=read_from, policy=policy
    )
    return recorder


async def leave(recorder: Recorder) -> None:
    assert recorder.consumer is not None
    await recorder.consumer.close()


async def log_of(store: EmbeddedEventStore, partition: int) -> list[LogEvent]:
    return (await store.read_log(LogQuery("s", 0, limit=10_000, partition=partition))).events


def check(recorder: Recorder, numbers: range) -> None:
    """Each number was delivered once, and those of an entity in order."""
    delivered = [int(data) for data in recorder.data]
    assert sorted(delivered) == list(numbers)
    for entity in range(5):
        of_this = [number for number in delivered if number % 5 == entity]
        assert of_this == sorted(of_this)


@pytest.mark.parametrize("in_memory", [True, False])
async def test_all_is_delivered_once_live_and_after_an_absence(
    store: EmbeddedEventStore, monkeypatch: pytest.MonkeyPatch, *, in_memory: bool
) -> None:
    """From memory, and page by page from the log where memory does not reach back."""
    if not in_memory:
        for each in store._dispatcher.tails:
            each._most_events = 4
        monkeypatch.setattr(feeding, "_PAGE", 7)
    first = await subscribe(store)
    await append(store, *range(30))
    await first.until_events(30)
    check(first, range(30))
    assert await store.caught_up("s", "view", _PATIENCE)
    await leave(first)
    await append(store, *range(30, 100))
    assert (await store.subscriptions.inspect("s", "view")).lag == 70
    second = await subscribe(store)
    await append(store, *range(100, 110))
    await second.until_events(80)
    check(second, range(30, 110))
    assert await store.caught_up("s", "view", _PATIENCE)
    assert (await store.subscriptions.inspect("s", "view")).lag == 0


async def test_one_that_begins_at_the_end_begins_at_that_of_each(
    store: EmbeddedEventStore,
) -> None:
    await append(store, *range(40))
    recorder = await subscribe(store, read_from=ReadFrom.END)
    await append(store, *range(40, 60))
    await recorder.until_events(20)
    check(recorder, range(40, 60))


async def test_caught_up_waits_for_every_partition(store: EmbeddedEventStore) -> None:
    recorder = await subscribe(store, acknowledging=False)
    await append(store, *range(20))
    await recorder.until_events(20)
    assert not await store.caught_up("s", "view", 0.05)
    by_partition: dict[int, list[int]] = {}
    for index, each in enumerate(recorder.events):
        by_partition.setdefault(each.swimlane % _STREAMS, []).append(index)
    assert len(by_partition) > 1
    for indexes in by_partition.values():
        assert not await store.caught_up("s", "view", 0.05)
        recorder.acknowledge([recorder.events[index] for index in indexes])
    assert await store.caught_up("s", "view", _PATIENCE)


async def test_a_reset_begins_again_in_every_partition_or_in_one(
    store: EmbeddedEventStore,
) -> None:
    recorder = await subscribe(store)
    await append(store, *range(30))
    await recorder.until_events(30)
    await store.subscriptions.reset("s", "view", dict.fromkeys(range(_STREAMS), 0))
    await recorder.until_events(60)
    assert Counter(recorder.data) == {str(number): 2 for number in range(30)}
    assert await store.caught_up("s", "view", _PATIENCE)
    events = await log_of(store, 1)
    await store.subscriptions.reset("s", "view", {1: events[0].position})
    await recorder.until_events(60 + len(events) - 1)
    again = [delivery.event for delivery in recorder.events[60:]]
    assert sorted(each.position for each in again) == [each.position for each in events[1:]]
    await store.subscriptions.reset("s", "view", dict(enumerate(store.engine.heads)))
    await append(store, 30)
    await recorder.until_events(60 + len(events))
    assert recorder.data[-1] == "30"
    beyond = store.engine.heads[2] + _STREAMS
    with pytest.raises(BadRequest, match=f"position: {beyond} is outside"):
        await store.subscriptions.reset("s", "view", {2: beyond})


async def test_a_dead_letter_holds_its_swimlane_alone_and_is_replayed(
    store: EmbeddedEventStore,
) -> None:
    policy = DeliveryPolicy(max_attempts=1, on_dead_letter=OnDeadLetter.WAIT)
    recorder = await subscribe(store, acknowledging=False, policy=policy)
    await append(store, *range(20))
    await recorder.until_events(20)
    assert recorder.consumer is not None
    for refused in {each.swimlane: each for each in reversed(recorder.events)}.values():
        assert recorder.consumer.refuse(refused.swimlane, refused.offset, "broken")
    swimlanes = len({each.swimlane for each in recorder.events})
    async with asyncio.timeout(_PATIENCE):
        while store.statistics.dead_letters < swimlanes:
            await asyncio.sleep(0.01)
    letters = await store.subscriptions.dead_letters("s", "view")
    firsts: dict[int, int] = {}
    for delivery in recorder.events:
        firsts.setdefault(delivery.swimlane, delivery.offset)
    assert {letter.swimlane: letter.position for letter in letters} == firsts
    recorder.acknowledging = True
    for letter in letters:
        await store.subscriptions.replay("s", "view", letter.position)
    assert await store.caught_up("s", "view", _PATIENCE)
    async with asyncio.timeout(_PATIENCE):  # they go once they are acknowledged
        while await store.subscriptions.dead_letters("s", "view"):
            await asyncio.sleep(0.01)


async def test_what_other_servers_append_is_read_where_it_is_delivered(nats_url: str) -> None:
    """Two servers share a subscriber's swimlanes: each reads the partitions that have its own."""
    url = f"{nats_url}&streams=2"
    async with (
        EmbeddedEventStore(open_engine(url, swimlanes=2)) as one,
        EmbeddedEventStore(open_engine(url, swimlanes=2)) as other,
        EmbeddedEventStore(open_engine(url, swimlanes=2)) as writer,
    ):
        recorders = [await subscribe(one), await subscribe(other)]
        stores = (one, other)

        def wanted() -> list[list[bool]]:
            return [
                [store._dispatcher.wants_events(partition) for partition in range(2)]
                for store in stores
            ]

        async with asyncio.timeout(_PATIENCE):
            while sorted(wanted()) != [[False, True], [True, False]]:
                await asyncio.sleep(0.01)
        assert not writer._dispatcher.wants_events(0)
        await append(writer, *range(40))
        async with asyncio.timeout(_PATIENCE):
            while sum(len(each.events) for each in recorders) < 40:
                await asyncio.sleep(0.01)
        delivered = [int(data) for each in recorders for data in each.data]
        assert sorted(delivered) == list(range(40))
        assert wanted()[0] != wanted()[1]
        for store, recorder in zip(stores, recorders, strict=True):
            # In memory are the events of its own partition, and of it alone.
            [here] = {each.swimlane for each in recorder.events}
            assert [len(tail) for tail in store._dispatcher.tails][1 - here] == 0
