"""Faults: redelivery and reordering are what they say, and what a correct store may do."""

import asyncio
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise

import pytest

from eventuary import (
    Aggregate,
    BadRequest,
    Context,
    Event,
    EventStore,
    Repository,
    Subscriber,
    apply,
    running,
)
from eventuary.delivery.consumer import AckMode
from eventuary.testing import Faults, at_rest, eventually, memory_store
from tests.event_store.recorder import Recorder
from tests.framework.shop import (
    Customer,
    Order,
    OrderState,
    customer_service,
    order_service,
)

SEEDS = range(6)


class StepEvent(Event, entity="Step"): ...


class Stepped(StepEvent):
    number: int


class Step(Aggregate):
    @apply
    def _stepped(self, event: Stepped) -> None: ...


class Log:
    """A subscriber that notes what it handles, in order."""

    def __init__(self, failing: dict[tuple[str, int], int] | None = None) -> None:
        self.subscriber = Subscriber("log")
        self.seen: list[tuple[str, int]] = []
        self.attempts: dict[tuple[str, int], list[int]] = defaultdict(list)
        self._failing = failing or {}
        self.subscriber.on(Stepped)(self._handle)

    async def _handle(self, event: Stepped, context: Context) -> None:
        key = (context.entity_id, event.number)
        self.attempts[key].append(context.attempt)
        if self._failing.get(key, 0) > 0:
            self._failing[key] -= 1
            raise RuntimeError(f"no to {key}")
        self.seen.append(key)

    def of(self, entity_id: str) -> list[int]:
        return [number for each, number in self.seen if each == entity_id]


async def steps(store: EventStore, entities: int = 6, numbers: int = 5) -> None:
    repository = Repository(store, Step)
    for entity in range(entities):
        await repository.save([Stepped(number) for number in range(numbers)], entity_id=f"{entity}")


def is_rewinding(numbers: list[int]) -> bool:
    """Whether each number comes after the one before it, or again with all that follow it."""
    expected = 0
    for number in numbers:
        if number > expected:
            return False
        expected = number + 1
    return True


async def test_without_faults_it_is_the_store() -> None:
    log = Log()
    async with Faults(memory_store()) as store, running(store, log.subscriber) as run:
        await steps(store)
        await run.caught_up()
        assert sorted(log.seen) == [(f"{entity}", n) for entity in range(6) for n in range(5)]
        assert all(log.of(f"{entity}") == list(range(5)) for entity in range(6))
        assert store.head == 6


@pytest.mark.parametrize("seed", SEEDS)
async def test_redelivery_brings_each_event_twice_in_an_order_that_may_happen(seed: int) -> None:
    log = Log()
    async with (
        Faults(memory_store(), seed=seed, redeliver=True) as store,
        running(store, log.subscriber) as run,
    ):
        await steps(store)
        await at_rest(store, run, within=60)
    assert len(log.seen) == 60
    for entity in range(6):
        numbers = log.of(f"{entity}")
        assert sorted(numbers) == sorted([*range(5), *range(5)])
        assert is_rewinding(numbers), numbers
    assert set(map(tuple, log.attempts.values())) == {(1, 2)}


async def test_redelivery_goes_back_by_one_event_and_by_several() -> None:
    lengths: set[int] = set()
    for seed in SEEDS:
        log = Log()
        async with (
            Faults(memory_store(), seed=seed, redeliver=True) as store,
            running(store, log.subscriber) as run,
        ):
            await steps(store, entities=1, numbers=12)
            await at_rest(store, run, within=60)
        numbers = log.of("0")
        lengths |= {one - other + 1 for one, other in pairwise(numbers)}
    assert {1, 2, 3, 4} <= lengths


@pytest.mark.parametrize("redeliver", [False, True])
async def test_reordering_keeps_the_order_of_each_entity_and_no_other(redeliver: bool) -> None:
    orders = set()
    for seed in SEEDS:
        log = Log()
        async with Faults(memory_store(), seed=seed, reorder=True, redeliver=redeliver) as store:
            await steps(store, entities=12, numbers=2)
            async with running(store, log.subscriber) as run:  # all is there to be reordered
                await at_rest(store, run, within=60)
        for entity in range(12):
            assert is_rewinding(log.of(f"{entity}"))
            assert set(log.of(f"{entity}")) == {0, 1}
        firsts = [int(entity) for entity, number in dict.fromkeys(log.seen) if number == 0]
        assert sorted(firsts) == list(range(12))
        orders.add(tuple(firsts))
    assert len(orders) == len(SEEDS), "each seed makes another order"
    assert all(list(order) != sorted(order) for order in orders)


@pytest.mark.parametrize("seed", SEEDS)
async def test_failures_among_the_faults_lose_nothing(seed: int) -> None:
    failing = {("0", 1): 2, ("1", 0): 1, ("2", 4): 3, ("3", 2): 1, ("3", 3): 2}
    log = Log(failing)
    async with (
        Faults(memory_store(), seed=seed, redeliver=True, reorder=True) as store,
        running(store, log.subscriber) as run,
    ):
        await steps(store)
        await at_rest(store, run, within=60)
    assert not any(failing.values())
    for entity in range(6):
        assert set(log.of(f"{entity}")) == set(range(5))
        assert is_rewinding(log.of(f"{entity}")), log.of(f"{entity}")


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_saga_does_not_mind(seed: int) -> None:
    async with (
        Faults(memory_store(), seed=seed, redeliver=True, reorder=True) as store,
        running(store, customer_service, order_service) as run,
    ):
        customers, orders = Repository(store, Customer), Repository(store, Order)
        customer = await customers.save(Customer.create(Decimal(10)))
        placed = [await orders.save(Order.create(customer.id, Decimal(3))) for _ in range(5)]
        await at_rest(store, run, within=60)
        states = [(await orders.load(each.id)).state for each in placed]
        assert states.count(OrderState.APPROVED) == 3
        assert states.count(OrderState.REJECTED) == 2
        for each, state in zip(placed, states, strict=True):
            reserved = (await customers.load(customer.id)).reserved
            assert (each.id in reserved) is (state is OrderState.APPROVED)
            assert len(await orders.history(each.id)) == 2
        assert len(await customers.history(customer.id)) == 6


async def test_a_handler_that_minds_is_found_out() -> None:
    """It counts what it is told, and is told twice."""
    counted: list[int] = []
    careless = Subscriber("careless")

    @careless.on(Stepped)
    async def count(event: Stepped, _: Context) -> None:
        counted.append(event.number)

    async with Faults(memory_store(), redeliver=True) as store, running(store, careless) as run:
        await steps(store, entities=1, numbers=1)
        await at_rest(store, run, within=60)
    assert counted == [0, 0]


async def test_what_it_can_t_do_is_refused() -> None:
    async with Faults(memory_store()) as store:
        for mode in (AckMode.AUTO, AckMode.CUMULATIVE):
            with pytest.raises(BadRequest, match="with individual acknowledgements"):
                await store.subscribe("s", "s", {"T": ["E"]}, Recorder(), ack_mode=mode)
        with pytest.raises(BadRequest, match="without notifications"):
            await store.subscribe("s", "s", {"T": ["E"]}, Recorder(), progress_notifications=True)
        await steps(store, entities=1)
        with pytest.raises(ValueError, match="step 1: 2 steps are passed already"):
            store.crash_at(1)


async def test_an_answer_to_what_was_not_delivered_is_not_heard() -> None:
    async with Faults(memory_store()) as store:
        recorder = Recorder(acknowledging=False)
        consumer = await store.subscribe("default", "s", {"Step": ["Stepped"]}, recorder)
        await steps(store, entities=1, numbers=2)
        await recorder.until_events(1)
        [delivery] = recorder.events
        assert not consumer.acknowledge(delivery.swimlane, delivery.offset + 1)
        assert not consumer.refuse(7 - delivery.swimlane, delivery.offset, "no")
        assert consumer.acknowledge(delivery.swimlane, delivery.offset)
        assert not consumer.acknowledge(delivery.swimlane, delivery.offset)
        await recorder.until_events(2)
        assert (consumer.space, consumer.subscriber_id) == ("default", "s")
        await consumer.close()


async def test_closing_the_store_tells_the_subscriber() -> None:
    recorder = Recorder()
    async with Faults(memory_store()) as store:
        await store.subscribe("default", "s", {"Step": ["Stepped"]}, recorder)
    assert recorder.closed_because == "the event store is closing"


async def test_after_a_crash_nothing_moves() -> None:
    """Calls do not return, nothing is delivered, and no acknowledgement is heard."""
    inner = memory_store()
    async with inner:
        store = Faults(inner)
        recorder = Recorder(acknowledging=False)
        consumer = await store.subscribe("default", "s", {"Step": ["Stepped"]}, recorder)
        store.crash_at(2)
        call = asyncio.ensure_future(steps(store, entities=2, numbers=2))
        await store.process.crashed()
        await recorder.until_events(1)
        [delivery] = recorder.events
        assert store.steps == [
            "before the creation of Step 0 by Stepped, Stepped",
            "after the creation of Step 0 by Stepped, Stepped, which nobody was told of",
        ]
        assert not consumer.acknowledge(delivery.swimlane, delivery.offset)
        assert not consumer.refuse(delivery.swimlane, delivery.offset, "no")
        await consumer.flush()
        calls = [
            call,
            asyncio.ensure_future(store.load("default", "Step", "0")),
            asyncio.ensure_future(store.history("default", "Step", "0")),
        ]
        done, _ = await asyncio.wait(calls, timeout=0.02)
        assert not done
        assert len((await inner.load("default", "Step", "0")).events) == 2
        assert len((await inner.load("default", "Step", "1")).events) == 0
        store.process.bury()
        await asyncio.wait(calls)
        assert all(each.cancelled() for each in calls)
        await consumer.close()
        assert len(recorder.events) == 1
        again = Recorder()
        again.consumer = await inner.subscribe("default", "s", {"Step": ["Stepped"]}, again)
        await again.until_events(2)
        assert [each.attempt for each in again.events] == [1, 1]


async def test_at_rest_says_when_there_is_no_rest() -> None:
    log = Log({("0", 0): 10_000})
    store = memory_store()
    async with store, running(store, log.subscriber) as run:
        await steps(store, entities=1, numbers=1)
        with pytest.raises(
            AssertionError, match=r"not at rest within 0.05 s: the log's head is at 1"
        ):
            await at_rest(store, run, within=0.05)

        async def is_parked() -> None:
            letters = await store.subscriptions.dead_letters("default", "log")
            assert [letter.attempts for letter in letters] == [10]

        await eventually(is_parked)
