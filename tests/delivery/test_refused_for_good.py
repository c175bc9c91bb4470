"""Refusals for good: a dead letter at once, and everything else as with other refusals."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.delivery.status import SwimlaneState
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.events import NewEvent
from eventuary.swimlanes import swimlane_of
from tests.event_store.recorder import PATIENCE, Recorder

#: What is not given up at once would not come again within a test's patience.
PATIENT = DeliveryPolicy(max_attempts=3, first_pause=600, longest_pause=600)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedEventStore]:
    store = EmbeddedEventStore(open_engine(f"sqlite:{tmp_path / 'e.db'}"), policy=PATIENT)
    await store.start()
    yield store
    await store.stop()


async def consume(store: EmbeddedEventStore, policy: DeliveryPolicy | None = None) -> Recorder:
    recorder = Recorder(acknowledging=False)
    recorder.consumer = await store.subscribe("s", "view", {"T": ["E"]}, recorder, policy=policy)
    return recorder


async def create(store: EmbeddedEventStore, *data: str) -> None:
    await store.create("s", "T", [NewEvent("E", each) for each in data], entity_id="one")


def refuse_for_good(recorder: Recorder, at: int) -> bool:
    assert recorder.consumer is not None
    delivery = recorder.events[at]
    return recorder.consumer.refuse(
        delivery.swimlane, delivery.offset, "no such address", for_good=True
    )


async def until_dead_letters(store: EmbeddedEventStore, *positions: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while [
            each.position for each in await store.subscriptions.dead_letters("s", "view")
        ] != list(positions):
            await asyncio.sleep(0.001)


async def state(store: EmbeddedEventStore) -> SwimlaneState:
    status = await store.subscriptions.inspect("s", "view")
    return status.swimlanes[swimlane_of("T", "one", len(status.swimlanes))].state


async def test_it_is_a_dead_letter_after_its_first_delivery(store: EmbeddedEventStore) -> None:
    recorder = await consume(store)
    await create(store, "1", "2")
    await recorder.until_events(2)
    assert refuse_for_good(recorder, 0)
    assert not refuse_for_good(recorder, 0), "it is in nobody's hands now"
    await until_dead_letters(store, 1)
    [dead] = await store.subscriptions.dead_letters("s", "view")
    assert (dead.attempts, dead.reason) == (1, "no such address")
    assert await state(store) is SwimlaneState.HALTED
    assert len(recorder.events) == 2


async def test_replayed_it_is_delivered_and_what_is_behind_it_follows(
    store: EmbeddedEventStore,
) -> None:
    recorder = await consume(store)
    await create(store, "1", "2")
    await recorder.until_events(2)
    refuse_for_good(recorder, 0)
    await until_dead_letters(store, 1)
    await store.subscriptions.replay("s", "view", 1)
    await recorder.until_events(3)
    assert refuse_for_good(recorder, 2)
    async with asyncio.timeout(PATIENCE):
        while store.statistics.dead_letters != 2:
            await asyncio.sleep(0.001)
    await store.subscriptions.replay("s", "view", 1)
    await recorder.until_events(4)
    recorder.acknowledge(recorder.events[3:])
    await until_dead_letters(store)
    await recorder.until_events(5)
    assert recorder.data == ["1", "2", "1", "1", "2"]


async def test_of_two_behind_each_other_the_second_is_given_up_in_its_turn(
    store: EmbeddedEventStore,
) -> None:
    """Order matters: until the first is done with, nobody can say what becomes of the second."""
    policy = DeliveryPolicy(max_attempts=3, first_pause=0.001)
    recorder = await consume(store, policy)
    await create(store, "1", "2")
    await recorder.until_events(2)
    assert refuse_for_good(recorder, 0)
    assert not refuse_for_good(recorder, 1), "it comes again behind the first"
    await until_dead_letters(store, 1)
    await store.subscriptions.discard("s", "view", 1)
    await recorder.until_events(3)
    assert refuse_for_good(recorder, 2)
    await until_dead_letters(store, 2)
    assert recorder.data == ["1", "2", "2"]


async def test_with_the_policy_continue_one_after_the_other_is_given_up(
    store: EmbeddedEventStore,
) -> None:
    recorder = await consume(
        store,
        DeliveryPolicy(first_pause=600, longest_pause=600, on_dead_letter=OnDeadLetter.CONTINUE),
    )
    await create(store, "1", "2", "3")
    await recorder.until_events(3)
    for at, come in ((0, 5), (3, 6), (5, 6)):
        assert refuse_for_good(recorder, at)
        await recorder.until_events(come)
    await until_dead_letters(store, 1, 2, 3)
    assert recorder.data == ["1", "2", "3", "2", "3", "3"]
    assert recorder.consumer is not None
    async with asyncio.timeout(PATIENCE):
        await recorder.consumer.caught_up()
