"""Refusals, silence and dead letters: redelivery after growing pauses, parking, replaying."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.delivery.status import SwimlaneState, SwimlaneStatus
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.errors import BadRequest, Conflict, NotFound
from eventuary.event_store import Durability
from eventuary.events import NewEvent
from eventuary.swimlanes import swimlane_of
from tests.event_store.recorder import PATIENCE, Recorder

POLICY = DeliveryPolicy(
    window=16, ack_timeout=60, max_attempts=3, first_pause=0.01, longest_pause=0.02
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'e.db'}"


async def opened(url: str, policy: DeliveryPolicy = POLICY) -> EmbeddedEventStore:
    store = EmbeddedEventStore(open_engine(url), policy=policy)
    await store.start()
    return store


@pytest.fixture
async def store(url: str) -> AsyncIterator[EmbeddedEventStore]:
    store = await opened(url)
    yield store
    await store.stop()


async def subscribe(store: EmbeddedEventStore, *, acknowledging: bool = False) -> Recorder:
    recorder = Recorder(acknowledging=acknowledging)
    recorder.consumer = await store.subscribe("s", "view", {"T": ["E"]}, recorder)
    return recorder


async def append(store: EmbeddedEventStore, *data: str) -> None:
    """Append to the one entity of these tests: all is in one swimlane."""
    entity = await store.load("s", "T", "one")
    events = [NewEvent("E", each) for each in data]
    if entity.events:
        await store.append("s", "T", "one", entity.events[-1].id, events)
    else:
        await store.create("s", "T", events, entity_id="one")


def refuse(recorder: Recorder, at: int, reason: str = "broken") -> bool:
    assert recorder.consumer is not None
    delivery = recorder.events[at]
    return recorder.consumer.refuse(delivery.swimlane, delivery.offset, reason)


async def lane(store: EmbeddedEventStore) -> SwimlaneStatus:
    status = await store.subscriptions.inspect("s", "view")
    return status.swimlanes[swimlane_of("T", "one", len(status.swimlanes))]


async def until_dead_letters(store: EmbeddedEventStore, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(await store.subscriptions.dead_letters("s", "view")) != number:
            await asyncio.sleep(0.001)


async def until_dead(store: EmbeddedEventStore, recorder: Recorder, data: str) -> None:
    """Refuse an event each time it comes, until it is a dead letter."""
    for attempt in range(1, POLICY.max_attempts + 1):
        await recorder.until(
            lambda: [d.event.event_data for d in recorder.events].count(data) >= attempt  # noqa: B023
        )
        at = max(n for n, d in enumerate(recorder.events) if d.event.event_data == data)
        assert recorder.events[at].attempt == attempt
        assert refuse(recorder, at)
    await until_dead_letters(store, 1)


async def test_a_refused_event_comes_again_and_holds_back_new_ones(
    store: EmbeddedEventStore,
) -> None:
    recorder = await subscribe(store)
    await append(store, "1")
    await recorder.until_events(1)
    assert refuse(recorder, 0)
    assert not refuse(recorder, 0), "it is in nobody's hands now"
    await append(store, "2")
    await recorder.until_events(2)
    assert (recorder.data, recorder.events[1].attempt) == (["1", "1"], 2)
    assert (await lane(store)).state is SwimlaneState.RETRYING
    recorder.acknowledge(recorder.events[1:2])
    await recorder.until_events(3)
    assert recorder.data == ["1", "1", "2"]
    recorder.acknowledge(recorder.events[2:3])
    assert (await lane(store)).state is SwimlaneState.LIVE
    assert store.statistics.redeliveries == 1


async def test_what_was_sent_behind_a_refused_event_comes_again_behind_it(
    store: EmbeddedEventStore,
) -> None:
    recorder = await subscribe(store)
    await append(store, "1", "2", "3")
    await recorder.until_events(3)
    refuse(recorder, 0)
    await recorder.until_events(4)
    assert refuse(recorder, 3)
    await recorder.until_events(5)
    assert recorder.data == ["1", "2", "3", "1", "1"], "the others wait for their turn"
    recorder.acknowledge(recorder.events[4:])
    await recorder.until_events(7)
    assert recorder.data == ["1", "2", "3", "1", "1", "2", "3"]
    recorder.acknowledge(recorder.events[5:])
    assert (await lane(store)).position == 3


async def test_what_was_sent_behind_a_refused_event_may_still_be_acknowledged(
    store: EmbeddedEventStore,
) -> None:
    recorder = await subscribe(store)
    await append(store, "1", "2", "3")
    await recorder.until_events(3)
    refuse(recorder, 0)
    recorder.acknowledge(recorder.events[1:])
    await recorder.until_events(4)
    assert recorder.data == ["1", "2", "3", "1"]
    assert (await lane(store)).position == 0
    recorder.acknowledge(recorder.events[3:])
    assert (await lane(store)).position == 3


async def test_a_refusal_of_what_is_done_does_not_stall_its_swimlane(
    store: EmbeddedEventStore,
) -> None:
    recorder = await subscribe(store)
    await append(store, "1")
    await recorder.until_events(1)
    recorder.acknowledge(recorder.events[:1])
    assert (await lane(store)).state is SwimlaneState.LIVE
    assert not refuse(recorder, 0)
    await append(store, "2")
    await recorder.until_events(2)
    assert recorder.data == ["1", "2"]


async def test_what_was_sent_behind_comes_again_although_the_refused_event_is_done(
    store: EmbeddedEventStore,
) -> None:
    """It came twice, and the second time it failed: its receiver has dropped what was behind it."""
    recorder = await subscribe(store)
    await append(store, "1", "2", "3", "4")
    await recorder.until_events(4)
    recorder.acknowledge(recorder.events[1:2])  # ahead of the first, which is in hands still
    assert not refuse(recorder, 1)
    await append(store, "5")
    await recorder.until_events(7)
    assert recorder.data == ["1", "2", "3", "4", "3", "4", "5"]
    recorder.acknowledge([recorder.events[0], *recorder.events[4:]])
    assert (await lane(store)).position == 5
    assert store.statistics.redeliveries == 0, "they did not fail"


def test_pauses_grow_up_to_the_longest() -> None:
    policy = DeliveryPolicy(first_pause=0.5, longest_pause=60)
    pauses = [policy.pause_after(attempts) for attempts in range(1, 11)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert policy.pause_after(10_000) == 60


async def test_silence_counts_as_a_refusal(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventuary.delivery.dispatcher._CHECK_ANSWERS_EVERY", 0.01)
    store = await opened(url, DeliveryPolicy(ack_timeout=0.05, max_attempts=2, first_pause=0.01))
    recorder = await subscribe(store)
    await append(store, "1")
    await recorder.until_events(2)
    assert recorder.events[1].attempt == 2
    await until_dead_letters(store, 1)
    (dead,) = await store.subscriptions.dead_letters("s", "view")
    assert (dead.attempts, dead.reason) == (2, "no acknowledgement within 0.05 s")
    await store.stop()


async def test_a_dead_letter_halts_its_swimlane_until_it_is_replayed(
    store: EmbeddedEventStore,
) -> None:
    recorder = await subscribe(store)
    await append(store, "1", "2")
    await recorder.until_events(2)
    await until_dead(store, recorder, "1")
    (dead,) = await store.subscriptions.dead_letters("s", "view")
    assert (dead.position, dead.event_type, dead.entity_id, dead.attempts, dead.reason) == (
        1, "E", "one", 3, "broken",
    )  # fmt: skip
    assert (await lane(store)).state is SwimlaneState.HALTED
    await append(store, "3")
    recorder.acknowledge([d for d in recorder.events if d.event.event_data == "2"])
    assert (await lane(store)).position == 0
    before = len(recorder.events)
    await store.subscriptions.replay("s", "view", 1)
    await recorder.until_events(before + 1)
    assert (recorder.data[-1], recorder.events[-1].attempt) == ("1", 1)
    recorder.acknowledge(recorder.events[-1:])
    await recorder.until_events(before + 2)
    assert recorder.data[-1] == "3"
    await until_dead_letters(store, 0)


async def test_a_discarded_dead_letter_lets_its_swimlane_go_on(
    store: EmbeddedEventStore,
) -> None:
    recorder = await subscribe(store)
    await append(store, "1")
    await until_dead(store, recorder, "1")
    await append(store, "2")
    before = len(recorder.events)
    await store.subscriptions.discard("s", "view", 1)
    await recorder.until_events(before + 1)
    assert recorder.data[-1] == "2"
    assert await store.subscriptions.dead_letters("s", "view") == []
    with pytest.raises(NotFound, match="no dead letter at position 1"):
        await store.subscriptions.discard("s", "view", 1)
    with pytest.raises(NotFound, match="no dead letter at position 99"):
        await store.subscriptions.replay("s", "view", 99)


async def test_a_dead_letter_still_halts_after_a_restart(url: str) -> None:
    store = await opened(url)
    recorder = await subscribe(store)
    await append(store, "1", "2", "3")
    await recorder.until_events(3)
    await until_dead(store, recorder, "2")
    await store.stop()
    store = await opened(url)
    recorder = await subscribe(store, acknowledging=True)
    await recorder.until_events(1)
    async with asyncio.timeout(PATIENCE):
        while (await lane(store)).state is not SwimlaneState.HALTED:
            await asyncio.sleep(0.001)
    assert recorder.data == ["1"]
    await store.subscriptions.replay("s", "view", 2)
    await recorder.until_events(3)
    assert recorder.data == ["1", "2", "3"]
    await until_dead_letters(store, 0)
    await store.stop()


async def test_a_dead_letter_is_discarded_while_nobody_is_connected(url: str) -> None:
    store = await opened(url)
    recorder = await subscribe(store)
    await append(store, "1", "2")
    await until_dead(store, recorder, "1")
    assert recorder.consumer is not None
    await recorder.consumer.close()
    with pytest.raises(Conflict, match="not connected"):
        await store.subscriptions.replay("s", "view", 1)
    await store.subscriptions.discard("s", "view", 1)
    await store.stop()
    store = await opened(url)
    recorder = await subscribe(store, acknowledging=True)
    await recorder.until_events(1)
    assert recorder.data == ["2"]
    await store.stop()


async def test_with_the_policy_continue_the_swimlane_goes_on(url: str) -> None:
    policy = DeliveryPolicy(max_attempts=3, first_pause=0.01, on_dead_letter=OnDeadLetter.CONTINUE)
    store = await opened(url, policy)
    recorder = await subscribe(store)
    await append(store, "1")
    await until_dead(store, recorder, "1")
    await append(store, "2")
    await recorder.until_events(4)
    assert recorder.data[-1] == "2"
    recorder.acknowledge(recorder.events[-1:])
    assert (await lane(store)).position == 2

    await store.subscriptions.replay("s", "view", 1)
    await recorder.until_events(5)
    assert recorder.data[-1] == "1"
    assert refuse(recorder, 4, "still broken")
    async with asyncio.timeout(PATIENCE):
        while (await store.subscriptions.dead_letters("s", "view"))[0].attempts != 4:
            await asyncio.sleep(0.001)
    (dead,) = await store.subscriptions.dead_letters("s", "view")
    assert dead.reason == "still broken"

    await store.subscriptions.replay("s", "view", 1)
    await recorder.until_events(6)
    recorder.acknowledge(recorder.events[-1:])
    await until_dead_letters(store, 0)
    assert (await lane(store)).position == 2
    await store.stop()


async def test_a_replay_that_fails_again_strands_nothing(url: str) -> None:
    policy = DeliveryPolicy(max_attempts=1, first_pause=0.01, on_dead_letter=OnDeadLetter.CONTINUE)
    store = await opened(url, policy)
    recorder = await subscribe(store)
    await append(store, "bad")
    await recorder.until_events(1)
    assert refuse(recorder, 0)
    await until_dead_letters(store, 1)
    await append(store, "1", "2")
    await recorder.until_events(3)
    await store.subscriptions.replay("s", "view", 1)
    await recorder.until_events(4)
    await append(store, "3")
    await recorder.until_events(5)
    # A receiver that keeps order drops what it has of the swimlane with each refusal.
    assert refuse(recorder, 3)
    await recorder.until_events(8)
    assert recorder.data == ["bad", "1", "2", "bad", "3", "1", "2", "3"]
    recorder.acknowledge(recorder.events[5:])
    assert recorder.consumer is not None
    async with asyncio.timeout(PATIENCE):
        await recorder.consumer.caught_up()
    await store.stop()


async def test_a_window_bounds_what_is_under_way(url: str) -> None:
    store = await opened(url, DeliveryPolicy(window=5))
    recorder = await subscribe(store)
    for number in range(20):
        await append(store, str(number))
    await recorder.until_events(5)
    assert recorder.data == ["0", "1", "2", "3", "4"]
    assert (await lane(store)).unacknowledged == 5
    recorder.acknowledge(recorder.events[1:5])  # all but the oldest: there is still no room
    assert (await lane(store)).unacknowledged == 1
    assert len(recorder.events) == 5
    recorder.acknowledging = True
    recorder.acknowledge(recorder.events[:1])
    await recorder.until_events(20)
    assert recorder.data == [str(number) for number in range(20)]
    await store.stop()


async def test_a_stalled_consumer_gets_nothing_and_then_all(store: EmbeddedEventStore) -> None:
    recorder = await subscribe(store, acknowledging=True)
    assert recorder.consumer is not None
    recorder.consumer.pause()
    await append(store, "1")
    await append(store, "2")
    assert recorder.data == []
    recorder.consumer.resume()
    await recorder.until_events(2)
    assert recorder.data == ["1", "2"]


async def test_a_paused_subscription_delivers_when_it_is_resumed(url: str) -> None:
    store = await opened(url)
    recorder = await subscribe(store, acknowledging=True)
    await append(store, "1")
    await recorder.until_events(1)
    await store.subscriptions.pause("s", "view")
    await append(store, "2")
    status = await store.subscriptions.inspect("s", "view")
    assert status.paused
    assert {each.state for each in status.swimlanes} == {SwimlaneState.PAUSED}
    assert status.lag == 1
    await store.stop()
    store = await opened(url)
    recorder = await subscribe(store, acknowledging=True)
    assert (await store.subscriptions.inspect("s", "view")).paused, "it outlives a restart"
    assert recorder.data == []
    await store.subscriptions.resume("s", "view")
    await recorder.until_events(1)
    assert recorder.data == ["2"]
    await store.stop()


async def test_a_reset_delivers_again_from_there(store: EmbeddedEventStore) -> None:
    recorder = await subscribe(store, acknowledging=True)
    await append(store, "1", "2", "3")
    await recorder.until_events(3)
    await store.subscriptions.reset("s", "view", {0: 1})
    await recorder.until_events(5)
    assert recorder.data == ["1", "2", "3", "2", "3"]
    await store.subscriptions.reset("s", "view", {0: store.head})
    await append(store, "4")
    await recorder.until_events(6)
    assert recorder.data[5:] == ["4"]
    with pytest.raises(BadRequest, match=r"position: 5 is outside 0\.\.4"):
        await store.subscriptions.reset("s", "view", {0: 5})


async def test_a_reset_reaches_a_subscription_that_is_away(store: EmbeddedEventStore) -> None:
    recorder = await subscribe(store, acknowledging=True)
    await append(store, "1", "2")
    await recorder.until_events(2)
    await asyncio.sleep(0)
    assert recorder.consumer is not None
    await recorder.consumer.close()
    assert (await store.subscriptions.inspect("s", "view")).lag == 0
    await store.subscriptions.reset("s", "view", {0: 0})
    assert (await store.subscriptions.inspect("s", "view")).lag == 2
    again = await subscribe(store, acknowledging=True)
    await again.until_events(2)
    assert again.data == ["1", "2"]


async def test_a_deleted_subscription_is_gone_and_its_consumers_are_told(
    store: EmbeddedEventStore,
) -> None:
    recorder = await subscribe(store, acknowledging=True)
    await append(store, "1")
    await recorder.until_events(1)
    await store.subscriptions.delete("s", "view")
    assert recorder.closed_because == "subscription 'view' was deleted"
    assert recorder.consumer is not None
    assert not recorder.consumer.acknowledge(0, 1)
    await recorder.consumer.close()
    with pytest.raises(NotFound, match="'view'"):
        await store.subscriptions.inspect("s", "view")
    assert await store.subscriptions.list("s") == []
    await append(store, "2")
    again = await subscribe(store, acknowledging=True)
    await again.until_events(2)
    assert again.data == ["1", "2"]


async def test_a_policy_is_kept_and_a_bad_one_refused(url: str) -> None:
    store = await opened(url)
    await subscribe(store)
    with pytest.raises(BadRequest, match="window: 0 is outside"):
        await store.subscriptions.change_policy("s", "view", DeliveryPolicy(window=0))
    changed = DeliveryPolicy(window=7, on_dead_letter=OnDeadLetter.CONTINUE)
    await store.subscriptions.change_policy("s", "view", changed)
    await store.stop()
    store = await opened(url)
    assert (await store.subscriptions.inspect("s", "view")).policy == changed
    await store.stop()


async def test_transient_and_durable_subscriptions_of_one_name_are_two(
    store: EmbeddedEventStore,
) -> None:
    durable = await subscribe(store, acknowledging=True)
    transient = Recorder()
    transient.consumer = await store.subscribe(
        "s", "view", {"T": ["E"]}, transient, durability=Durability.TRANSIENT
    )
    await append(store, "1")
    await durable.until_events(1)
    await transient.until_events(1)
    assert [each.durability for each in await store.subscriptions.list("s")] == [
        "DURABLE",
        "TRANSIENT",
    ]


async def test_a_moving_swimlane_waits_for_what_is_in_hands(store: EmbeddedEventStore) -> None:
    first = await subscribe(store)
    await append(store, "1")
    await first.until_events(1)
    number = first.events[0].swimlane
    others = [await subscribe(store, acknowledging=True) for _ in range(7)]
    status = await store.subscriptions.inspect("s", "view")
    states = [each.state for each in status.swimlanes]
    assert states.count(SwimlaneState.MOVING) <= 1
    await append(store, "2")
    if status.swimlanes[number].state is SwimlaneState.MOVING:
        assert all(not each.events for each in others)
        first.acknowledge(first.events)
        async with asyncio.timeout(PATIENCE):
            while not any(each.events for each in others):
                await asyncio.sleep(0.001)
        assert [each.data for each in others if each.events] == [["2"]]
        assert first.data == ["1"]
    else:
        await first.until_events(2)
        assert first.data == ["1", "2"]
