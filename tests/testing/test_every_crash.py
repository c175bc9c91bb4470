"""every_crash: whatever step a process dies at, the end is the same, or the test says where not."""

import logging
from contextlib import suppress
from decimal import Decimal

import pytest

from eventuary import (
    Context,
    EntityExists,
    EventStore,
    EveryEvents,
    Repository,
    Subscriber,
    running,
)
from eventuary.testing import Scenario, at_rest, every_crash, memory_store
from tests.framework.shop import Customer, Order, OrderState, customer_service, order_service
from tests.testing.meter import Meter, Metered, one_order

TOTALS = (Decimal(4), Decimal(8), Decimal(5))


async def place_orders(store: EventStore) -> None:
    """What the world outside does: it repeats what it had no answer to."""
    customers, orders = Repository(store, Customer), Repository(store, Order)
    with suppress(EntityExists):
        await customers.save(Customer.create(Decimal(10)), entity_id="ada")
    for number, total in enumerate(TOTALS):
        with suppress(EntityExists):
            await orders.save(Order.create("ada", total), entity_id=f"order-{number}")


async def place_and_cancel(store: EventStore) -> None:
    await place_orders(store)
    with suppress(Exception):  # rejected, or not yet approved: as it comes
        await Repository(store, Order).update("order-1", Order.cancel)


async def assert_consistent(store: EventStore) -> list[OrderState]:
    """Return how each order ended: once, and as the customer's reservations say."""
    customer = await Repository(store, Customer).load("ada")
    orders = Repository(store, Order)
    states = []
    for number, total in enumerate(TOTALS):
        order = await orders.load(f"order-{number}")
        changes = 3 if order.state is OrderState.CANCELLED else 2
        assert len(await orders.history(order.id)) == changes
        reserved = customer.reserved.get(order.id)
        assert reserved == (total if order.state is OrderState.APPROVED else None)
        states.append(order.state)
    assert customer.available >= 0
    assert OrderState.CREATED not in states
    return states


async def test_the_saga_ends_the_same_whatever_step_it_dies_at() -> None:
    crashes = []
    async for attempt in every_crash(place_orders, customer_service, order_service):
        async with attempt as store:
            states = await assert_consistent(store)
            assert states == [OrderState.APPROVED, OrderState.REJECTED, OrderState.APPROVED]
        crashes += attempt.crashes
    # 4 creations, 3 appends to the customer, 3 to orders, 6 acknowledgements: before and after each
    assert len(crashes) == 32
    for kind in ("creation", "append", "acknowledgement"):
        for when in ("before", "after"):
            assert any(each.startswith(f"{when} the {kind}") for each in crashes), f"{when} {kind}"


@pytest.mark.parametrize("seed", range(2))
async def test_nor_do_redelivery_reordering_and_further_crashes_matter(seed: int) -> None:
    ends = set()
    attempts = crashes = 0
    async for attempt in every_crash(
        place_orders,
        customer_service,
        order_service,
        seed=seed,
        redeliver=True,
        reorder=True,
        crashes=3,
    ):
        async with attempt as store:
            ends.add(tuple(await assert_consistent(store)))
        attempts += 1
        crashes += len(attempt.crashes)
    assert attempts > 30
    assert crashes > attempts, "it dies more than once"
    assert len(ends) > 1, "whose order comes first is not said"


async def test_cancelling_while_it_goes_on_ends_in_one_consistent_state() -> None:
    async for attempt in every_crash(
        place_and_cancel, customer_service, order_service, reorder=True, redeliver=True
    ):
        async with attempt as store:
            await assert_consistent(store)


# ── How it behaves ────────────────────────────────────────────────────────────────────────────────


async def go_through(
    scenario: Scenario, *subscribers: Subscriber, within: float = 60.0
) -> list[str]:
    """Try every crash, expecting nothing; return where the crashes were."""
    crashes = []
    async for attempt in every_crash(scenario, *subscribers, within=within):
        async with attempt:
            pass
        crashes += attempt.crashes
    return crashes


async def test_what_the_scenario_raises_is_raised_with_a_note() -> None:
    async def broken(store: EventStore) -> None:
        await one_order(store)
        raise ValueError("the scenario is wrong")

    with pytest.raises(ValueError, match="the scenario is wrong") as caught:
        await go_through(broken)
    assert caught.value.__notes__ == [
        "every_crash: step 1: crashed before the creation of Meter meter by Metered"
    ]


async def test_what_does_not_come_to_rest_is_told() -> None:
    restless = Subscriber("restless")

    @restless.on(Metered)
    async def again(_: Metered, context: Context) -> None:
        await context.save(Meter, [Metered(Decimal(1))])

    with pytest.raises(AssertionError, match=r"not at rest within 0.2 s.*lead to itself"):
        await go_through(one_order, restless, within=0.2)


async def test_an_attempt_must_be_entered() -> None:
    with pytest.raises(RuntimeError, match="write `async with attempt as store:` in the loop"):
        async for _ in every_crash(one_order):
            pass


async def test_a_scenario_that_does_nothing_has_no_steps() -> None:
    async def nothing(_: EventStore) -> None: ...

    attempts = []
    async for attempt in every_crash(nothing):
        attempts.append(attempt)
        async with attempt:
            pass
    assert [each.crashes for each in attempts] == [[]]
    assert repr(attempts[0]) == "<attempt 1: every_crash: step 1: no crash>"


async def test_snapshots_in_the_background_die_too() -> None:
    async def with_snapshots(store: EventStore) -> None:
        meters = Repository(store, Meter, snapshots=EveryEvents(1))
        with suppress(EntityExists):
            await meters.save([Metered(Decimal(1))], entity_id="meter")
        await meters.settle()

    crashes = []
    async for attempt in every_crash(with_snapshots):
        async with attempt as store:
            meters = Repository(store, Meter, snapshots=EveryEvents(1))
            assert (await meters.load("meter")).total == 1
        crashes += attempt.crashes
    assert crashes == [
        "before the creation of Meter meter by Metered",
        "after the creation of Meter meter by Metered, which nobody was told of",
        "before the snapshot of Meter meter",
        "after the snapshot of Meter meter",
    ]


async def test_a_store_of_one_s_own() -> None:
    opened = []

    def store() -> EventStore:
        opened.append(memory_store())
        return opened[-1]

    attempts = 0
    async for attempt in every_crash(one_order, store=store):
        attempts += 1
        async with attempt as inner:
            assert inner is opened[-1]
    assert attempts == len(opened) == 5


async def test_the_running_subscribers_end_quietly(caplog: pytest.LogCaptureFixture) -> None:
    """As in a crash: nothing is acknowledged, and no handler reports a failure."""
    with caplog.at_level(logging.INFO):
        await go_through(place_orders, customer_service, order_service)
    assert not [each for each in caplog.records if "could not handle" in each.getMessage()]
    assert not [each for each in caplog.records if each.name == "asyncio"]


async def test_at_rest_waits_for_what_comes_of_what_is_handled() -> None:
    async with (
        memory_store() as store,
        running(store, order_service, customer_service) as run,
    ):
        await place_orders(store)
        await at_rest(store, run, within=60)
        await assert_consistent(store)
