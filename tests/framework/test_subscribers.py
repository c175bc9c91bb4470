"""Subscribers: where they begin, what they are told, and who shares the work."""

from decimal import Decimal

import pytest

from eventuary import (
    Context,
    DeliveryPolicy,
    Durability,
    ReadFrom,
    Repository,
    Subscriber,
    connect,
    running,
)
from eventuary.events import NewEvent
from eventuary.testing import eventually, memory_store
from tests.framework.listener import Chimed, Clock, Listener, Ticked, tick
from tests.framework.shop import Customer, Order, OrderCreated, customer_service

# ── Where it begins ───────────────────────────────────────────────────────────────────────────────


async def test_a_durable_subscriber_hears_all_past_and_coming_events() -> None:
    listener = Listener()
    async with connect("memory:") as store:
        await tick(store, 1, 2)
        async with running(store, listener.subscriber) as run:
            await tick(store, 3)
            await run.caught_up()
        await tick(store, 4)
        assert listener.heard == [1, 2, 3]
        async with running(store, listener.subscriber) as run:
            await tick(store, 5)
            await run.caught_up()
        assert listener.heard == [1, 2, 3, 4, 5]


async def test_from_the_end_it_hears_what_comes() -> None:
    listener = Listener(read_from=ReadFrom.END)
    async with connect("memory:") as store:
        await tick(store, 1, 2)
        async with running(store, listener.subscriber) as run:
            await tick(store, 3)
            await run.caught_up()
        await tick(store, 4)
        async with running(store, listener.subscriber) as run:
            await run.caught_up()
        assert listener.heard == [3, 4], "what it missed, too: it is the same subscription"


async def test_a_transient_one_forgets() -> None:
    listener = Listener(durability=Durability.TRANSIENT, read_from=ReadFrom.END)
    async with connect("memory:") as store:
        for first in (1, 11):
            await tick(store, first)
            async with running(store, listener.subscriber) as run:
                await tick(store, first + 1)
                await run.caught_up()
        assert listener.heard == [2, 12]
        assert await store.subscriptions.list("default") == []  # type: ignore[attr-defined]  # embedded


async def test_names_and_spaces_are_apart() -> None:
    one, two = Listener("one"), Listener("two")
    elsewhere = Subscriber("one", space="elsewhere")
    there: list[int] = []

    @elsewhere.on(Ticked)
    async def hear(event: Ticked, _: Context) -> None:
        there.append(event.number)

    async with (
        connect("memory:") as store,
        running(store, one.subscriber, two.subscriber, elsewhere) as run,
    ):
        await tick(store, 1)
        await Repository(store, Clock, space="elsewhere").save(Ticked(7))
        await run.caught_up()
        assert (one.heard, two.heard, there) == ([1], [1], [7])


# ── What it is told, and what it passes over ──────────────────────────────────────────────────────


async def test_it_is_told_of_what_it_handles_and_no_more() -> None:
    subscriber = Subscriber("s")
    seen: list[object] = []

    @subscriber.on(Ticked, OrderCreated)
    async def both(event: Ticked | OrderCreated, _: Context) -> None:
        seen.append(event)

    async with connect("memory:") as store, running(store, subscriber) as run:
        created = OrderCreated("ada", Decimal(1))
        await Repository(store, Clock).save([Chimed(1), Ticked(1), Chimed(2)])
        await Repository(store, Order).save(created)
        await Repository(store, Customer).save(Customer.create(Decimal(1)))
        await store.create("default", "Foreign", [NewEvent("Ticked", "{}")])
        await run.caught_up()
    assert seen == [Ticked(1), created]


async def test_what_another_version_of_it_selects_is_passed_over() -> None:
    """An older process, still at work, and a newer one that selects more."""
    older, newer = Subscriber("s"), Subscriber("s")
    heard: dict[str, list[object]] = {"older": [], "newer": []}

    @older.on(Ticked)
    async def old(event: Ticked, _: Context) -> None:
        heard["older"].append(event)

    @newer.on(Ticked, Chimed)
    async def new(event: Ticked | Chimed, _: Context) -> None:
        heard["newer"].append(event)

    async with (
        connect("memory:") as store,
        running(store, older) as one,
        running(store, newer) as other,
    ):
        clocks = Repository(store, Clock)
        for number in range(40):
            await clocks.save([Chimed(number), Ticked(number)])
        await one.caught_up()
        await other.caught_up()
        ticks = [each for each in heard["older"] + heard["newer"] if isinstance(each, Ticked)]
        assert len(ticks) == 40
        assert heard["older"], "it has a share"
        assert all(isinstance(each, Ticked) for each in heard["older"])


async def test_text_that_others_stored_under_a_known_name_is_a_failure_and_not_passed_over() -> (
    None
):
    listener = Listener()
    listener.subscriber.policy = DeliveryPolicy(max_attempts=1)
    async with memory_store() as store, running(store, listener.subscriber):
        await store.create("default", "Clock", [NewEvent("Ticked", "not json")], entity_id="x")

        async def parked() -> None:
            [letter] = await store.subscriptions.dead_letters("default", "listener")
            assert "malformed" in letter.reason

        await eventually(lambda: store.statistics.dead_letters == 1)
        await parked()
    assert listener.begun == []


# ── Sharing ───────────────────────────────────────────────────────────────────────────────────────


async def test_entities_are_handled_side_by_side_and_each_in_order() -> None:
    listener = Listener()
    listener.open.clear()
    async with connect("memory:") as store, running(store, listener.subscriber) as run:
        for clock in range(30):
            await Repository(store, Clock).save([Ticked(n) for n in range(3)], entity_id=f"{clock}")
        await eventually(lambda: len(listener.begun) >= 8)
        assert listener.heard == []
        listener.open.set()
        await run.caught_up()
    assert len(listener.heard) == 90
    assert all(numbers == [0, 1, 2] for numbers in listener.by_clock.values())


async def test_two_processes_of_one_subscriber_share_the_work() -> None:
    one, other = Listener(), Listener()
    async with (
        connect("memory:") as store,
        running(store, one.subscriber) as first,
        running(store, other.subscriber) as second,
    ):
        for clock in range(40):
            await Repository(store, Clock).save([Ticked(n) for n in range(3)], entity_id=f"{clock}")
        await first.caught_up()
        await second.caught_up()
    assert len(one.heard) + len(other.heard) == 120
    assert not one.by_clock.keys() & other.by_clock.keys(), "each entity has one who handles it"
    assert min(len(one.heard), len(other.heard)) >= 3
    for listener in (one, other):
        assert all(numbers == [0, 1, 2] for numbers in listener.by_clock.values())


async def test_what_one_leaves_the_other_takes_in_order() -> None:
    leaving, staying = Listener(), Listener()
    async with connect("memory:") as store, running(store, staying.subscriber) as run:
        async with running(store, leaving.subscriber):
            for clock in range(20):
                await tick(store, 0, 1, clock=f"{clock}")
        for clock in range(20):
            await tick(store, 2, 3, clock=f"{clock}")
        await run.caught_up()
    for clock in range(20):
        together = leaving.by_clock[f"{clock}"] + staying.by_clock[f"{clock}"]
        assert together == [0, 1, 2, 3], "none lost, none twice: it left in peace"


# ── Declarations ──────────────────────────────────────────────────────────────────────────────────


async def test_a_second_handler_of_one_event_is_refused() -> None:
    subscriber = Subscriber("s")

    @subscriber.on(Ticked)
    async def first(event: Ticked, context: Context) -> None: ...

    with pytest.raises(
        TypeError,
        match="subscriber 's' handles Ticked in 'first' already; a second handler is a subscriber",
    ):

        @subscriber.on(Chimed, Ticked)
        async def second(event: Chimed | Ticked, context: Context) -> None: ...

    with pytest.raises(TypeError, match=r"on\(\) takes the event types to handle"):
        subscriber.on()


async def test_one_without_handlers_is_refused() -> None:
    async with connect("memory:") as store:
        with pytest.raises(TypeError, match=r"subscriber 'idle' has no handlers: @subscriber.on"):
            async with running(store, Subscriber("idle")):
                pass


async def test_one_function_may_handle_for_several_subscribers() -> None:
    one, two = Subscriber("one"), Subscriber("two")
    heard: list[str] = []

    @one.on(Ticked)
    @two.on(Ticked)
    async def hear(event: Ticked, context: Context) -> None:
        heard.append(context.event_token.partition(".")[2])

    async with connect("memory:") as store, running(store, one, two) as run:
        await tick(store, 1)
        await run.caught_up()
    assert sorted(heard) == ["b25l", "dHdv"], "each with a token of its own"


async def test_a_declaration_runs_any_number_of_times() -> None:
    for _ in range(2):
        async with connect("memory:") as store, running(store, customer_service) as run:
            customers = Repository(store, Customer)
            customer = await customers.save(Customer.create(Decimal(5)))
            await Repository(store, Order).save(Order.create(customer.id, Decimal(2)))
            await run.caught_up()
            assert (await customers.load(customer.id)).available == 3
