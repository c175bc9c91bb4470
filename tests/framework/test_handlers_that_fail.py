"""A handler that fails: its event comes again after growing pauses, and order is kept."""

import asyncio
import logging
from collections import defaultdict
from itertools import pairwise

import pytest

from eventuary import (
    Aggregate,
    Context,
    DeliveryPolicy,
    Event,
    EventStore,
    Metadata,
    OnDeadLetter,
    Repository,
    Subscriber,
    apply,
    connect,
    running,
)
from eventuary.connecting import VanishingEventStore

SOON = DeliveryPolicy(first_pause=0.005, longest_pause=0.01)


class CountEvent(Event, entity="Count"): ...


class Counted(CountEvent):
    number: int


class Count(Aggregate):
    numbers: list[int]

    def count(self, number: int) -> Counted:
        return Counted(number)

    @apply
    def _counted(self, event: Counted) -> None:
        self.numbers = [*getattr(self, "numbers", []), event.number]


class Failing:
    """A handler that fails where it is told to, and notes what was begun, and what was done."""

    def __init__(self) -> None:
        self.subscriber = Subscriber("s", policy=SOON)
        self.failures: dict[tuple[str, int], int] = defaultdict(int)
        self.begun: list[tuple[str, int]] = []
        self.done: dict[str, list[int]] = defaultdict(list)
        self.times: list[float] = []
        self.subscriber.on(Counted)(self._handle)

    async def _handle(self, event: Counted, context: Context) -> None:
        key = (context.entity_id, event.number)
        self.begun.append(key)
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        if self.failures[key] > 0:
            self.failures[key] -= 1
            raise RuntimeError(f"no to {key}")
        self.done[context.entity_id].append(event.number)


async def count(store: EventStore, entity_id: str, *numbers: int) -> None:
    await Repository(store, Count).save([Counted(each) for each in numbers], entity_id=entity_id)


async def test_what_follows_a_failing_event_is_never_handled_before_it() -> None:
    failing = Failing()
    failing.failures |= {("a", 0): 2, ("a", 3): 1, ("b", 1): 3, ("c", 4): 2}
    async with connect("memory:") as store, running(store, failing.subscriber) as run:
        for entity_id in ("a", "b", "c", "d"):
            await count(store, entity_id, *range(5))
        await run.caught_up()
    for entity_id in ("a", "b", "c", "d"):
        done = failing.done[entity_id]
        assert done == sorted(done), entity_id
        assert set(done) == set(range(5))
        begun = [number for each, number in failing.begun if each == entity_id]
        assert begun == sorted(begun), f"{entity_id}: begun before an earlier one was done"
    assert not any(failing.failures.values())


async def test_pauses_grow_up_to_the_longest() -> None:
    failing = Failing()
    failing.subscriber.policy = DeliveryPolicy(first_pause=0.02, longest_pause=0.08)
    failing.failures["a", 1] = 4
    async with connect("memory:") as store, running(store, failing.subscriber) as run:
        await count(store, "a", 1)
        await run.caught_up()
    pauses = [after - before for before, after in pairwise(failing.times)]
    for pause, least in zip(pauses, (0.02, 0.04, 0.08, 0.08), strict=True):
        assert pause >= least * 0.95


async def test_a_failure_is_told_in_the_log_with_what_it_is_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = Failing()
    failing.failures["a", 1] = 1
    with caplog.at_level(logging.WARNING, "eventuary.subscriber"):
        async with connect("memory:") as store, running(store, failing.subscriber) as run:
            await count(store, "a", 1)
            await run.caught_up()
    [record] = caplog.records
    assert "subscriber 's' could not handle Counted" in record.getMessage()
    assert "of Count 'a', it comes again: RuntimeError: no to ('a', 1)" in record.getMessage()
    assert record.exc_info is not None
    assert vars(record)["subscriber_id"] == "s"
    assert vars(record)["entity_id"] == "a"


async def test_a_cancellation_within_a_handler_is_a_failure_like_any_other() -> None:
    """A handler may wait for a task of its own that is cancelled; nobody cancels the handler."""
    subscriber = Subscriber("s", policy=SOON)
    attempts: list[int] = []

    @subscriber.on(Counted)
    async def handle(_: Counted, context: Context) -> None:
        attempts.append(context.attempt)
        if context.attempt == 1:
            inner = asyncio.ensure_future(asyncio.sleep(60))
            asyncio.get_running_loop().call_soon(inner.cancel)
            await inner

    async with connect("memory:") as store, running(store, subscriber) as run:
        await count(store, "a", 1, 2)
        await run.caught_up()
    assert attempts == [1, 2, 1, 2]


def lettered(on_dead_letter: OnDeadLetter) -> Failing:
    failing = Failing()
    failing.subscriber.policy = DeliveryPolicy(
        first_pause=0.005, longest_pause=0.01, max_attempts=3, on_dead_letter=on_dead_letter
    )
    failing.failures["a", 1] = 3
    return failing


async def until_dead(store: VanishingEventStore) -> int:
    """Wait for the one dead letter; return its position."""
    async with asyncio.timeout(20):
        while not (letters := await store.subscriptions.dead_letters("default", "s")):
            await asyncio.sleep(0.002)
    [letter] = letters
    assert (letter.entity_id, letter.event_type, letter.attempts) == ("a", "Counted", 3)
    assert letter.reason == "RuntimeError: no to ('a', 1)"
    return letter.position


async def until_none_is_dead(store: VanishingEventStore) -> None:
    async with asyncio.timeout(20):
        while await store.subscriptions.dead_letters("default", "s"):
            await asyncio.sleep(0.002)


async def test_after_the_last_attempt_the_swimlane_waits_at_the_dead_letter() -> None:
    failing = lettered(OnDeadLetter.WAIT)
    async with VanishingEventStore() as store, running(store, failing.subscriber) as run:
        await count(store, "a", 0, 1, 2)
        position = await until_dead(store)
        assert failing.done["a"] == [0]
        assert len(failing.begun) == 4
        await store.subscriptions.replay("default", "s", position)
        await run.caught_up()
        assert failing.done["a"] == [0, 1, 2]
        await until_none_is_dead(store)


async def test_after_the_last_attempt_the_others_go_on_where_the_policy_says_so() -> None:
    failing = lettered(OnDeadLetter.CONTINUE)
    async with VanishingEventStore() as store, running(store, failing.subscriber) as run:
        await count(store, "a", 0, 1, 2)
        await run.caught_up()
        assert failing.done["a"] == [0, 2]
        position = await until_dead(store)
        await store.subscriptions.replay("default", "s", position)
        await until_none_is_dead(store)
        assert failing.done["a"] == [0, 2, 1]


async def test_a_dead_letter_can_be_discarded() -> None:
    failing = lettered(OnDeadLetter.WAIT)
    async with VanishingEventStore() as store, running(store, failing.subscriber) as run:
        await count(store, "a", 0, 1, 2)
        await store.subscriptions.discard("default", "s", await until_dead(store))
        await run.caught_up()
        assert failing.done["a"] == [0, 2]


async def test_an_event_that_can_t_be_read_is_a_failure_too() -> None:
    failing = Failing()
    failing.subscriber.policy = DeliveryPolicy(
        first_pause=0.005, max_attempts=2, on_dead_letter=OnDeadLetter.CONTINUE
    )
    async with VanishingEventStore() as store, running(store, failing.subscriber) as run:
        await count(store, "a", 0)
        version = (await Repository(store, Count).load("a")).version
        broken = Count.__codec__.encode([Counted("many")], Metadata())  # type: ignore[arg-type]  # that is what is broken
        await store.append("default", "Count", "a", version, broken)
        await run.caught_up()
        [letter] = await store.subscriptions.dead_letters("default", "s")
        assert "can't be read as Counted: Expected `int`, got `str`" in letter.reason
        assert failing.begun == [("a", 0)]
