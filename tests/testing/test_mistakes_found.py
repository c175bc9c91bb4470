"""Mistakes in handlers that every_crash finds, and where it says they are."""

import asyncio

import pytest

from eventuary import Context, EventStore, Repository, Subscriber
from eventuary.testing import every_crash
from tests.framework.shop import OrderCreated
from tests.testing.meter import Meter, one_order


async def test_an_update_that_does_not_carry_its_trigger_is_found() -> None:
    careless = Subscriber("careless")

    async def crashes_until_it_is_wrong() -> str:
        async for attempt in every_crash(scenario, careless):
            async with attempt as store:
                assert (await Repository(store, Meter).load("meter")).total == 7
        raise LookupError("never wrong")

    stores: list[EventStore] = []

    async def scenario(store: EventStore) -> None:
        stores.append(store)
        await one_order(store)

    @careless.on(OrderCreated)
    async def measure(event: OrderCreated, _: Context) -> None:
        await Repository(stores[-1], Meter).update("meter", Meter.add, event.total)

    with pytest.raises(AssertionError) as caught:
        await crashes_until_it_is_wrong()
    [note] = caught.value.__notes__
    assert note.startswith(
        "every_crash: step 6: crashed after the append of Metered to Meter meter"
    )


async def test_what_happens_outside_happens_again_only_before_an_acknowledgement() -> None:
    """A mail that is sent last is sent once, but for one window; the dead send nothing."""
    mails: list[str] = []
    notifier = Subscriber("notifier")

    @notifier.on(OrderCreated)
    async def notify(event: OrderCreated, context: Context) -> None:
        await context.update(Meter, "meter", Meter.add, event.total)
        mails.append(context.entity_id)

    twice = []
    async for attempt in every_crash(one_order, notifier):
        mails.clear()
        async with attempt as store:
            assert (await Repository(store, Meter).load("meter")).total == 7
            assert 1 <= len(mails) <= 2
        if len(mails) == 2:
            twice += attempt.crashes
    assert twice == [
        "before the acknowledgement of OrderCreated of orders.Order order-0 by notifier"
    ]


async def test_work_that_is_acknowledged_before_it_is_done_is_found() -> None:
    """The handler leaves it to a task, which dies, and the event does not come again."""
    hasty = Subscriber("hasty")
    tasks: list[asyncio.Task[object]] = []

    @hasty.on(OrderCreated)
    async def later(event: OrderCreated, context: Context) -> None:
        update = context.update(Meter, "meter", Meter.add, event.total)
        tasks.append(asyncio.ensure_future(update))

    async def crashes_until_it_is_wrong() -> None:
        async for attempt in every_crash(one_order, hasty):
            async with attempt as store:
                await asyncio.gather(*tasks, return_exceptions=True)
                assert (await Repository(store, Meter).load("meter")).total == 7

    with pytest.raises(AssertionError) as caught:
        await crashes_until_it_is_wrong()
    # Where first is by chance: the work may also die with a process that ends in peace.
    [note] = caught.value.__notes__
    assert note.startswith("every_crash: step ")
