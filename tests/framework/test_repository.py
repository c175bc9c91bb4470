"""Repositories: save, update, load, look back; and what becomes of two who want the same."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from eventuary import (
    Aggregate,
    AggregateNotFound,
    BadRequest,
    EntityExists,
    Event,
    EventStore,
    OptimisticLockError,
    Repository,
    Retries,
    apply,
    connect,
)
from eventuary.framework.aggregate import Decision
from eventuary.testing import Faults, memory_store
from tests.framework.shop import (
    CreditLimitExceeded,
    CreditReserved,
    Customer,
    NotToBeCancelled,
    Order,
    OrderApproved,
    OrderCreated,
    OrderState,
)

CREATED = OrderCreated("ada", Decimal(10))


async def test_save_returns_the_state_with_its_id_and_version() -> None:
    async with connect("memory:") as store:
        order = await Repository(store, Order).save(Order.create("ada", Decimal(10)))
        assert (order.customer_id, order.state) == ("ada", OrderState.CREATED)
        stored = await store.load("default", "orders.Order", order.id)
        assert [each.id for each in stored.events] == [order.version]


async def test_save_takes_several_events_and_an_id_of_one_s_own() -> None:
    async with connect("memory:") as store:
        orders = Repository(store, Order)
        order = await orders.save([CREATED, OrderApproved()], entity_id="order 7, ünïcødé")
        assert (order.id, order.state) == ("order 7, ünïcødé", OrderState.APPROVED)
        with pytest.raises(EntityExists, match="'order 7, ünïcødé' exists already"):
            await orders.save(CREATED, entity_id=order.id)
        with pytest.raises(BadRequest, match="entityId"):
            await orders.save(CREATED, entity_id="a/b")
        nothings: tuple[Decision, ...] = (None, [], ())
        for nothing in nothings:
            with pytest.raises(
                BadRequest, match="events: is empty; the command that creates a Order returned none"
            ):
                await orders.save(nothing)


async def test_update_decides_appends_and_returns_the_new_state() -> None:
    async with connect("memory:") as store:
        orders = Repository(store, Order)
        order = await orders.save(CREATED)
        approved = await orders.update(order.id, Order.approve)
        assert approved.state is OrderState.APPROVED
        assert approved.version > order.version
        cancelled = await orders.update(order.id, lambda order: order.cancel())
        assert cancelled.state is OrderState.CANCELLED
        assert len(await orders.history(order.id)) == 3


async def test_a_command_that_returns_nothing_appends_nothing() -> None:
    async with connect("memory:") as store:
        orders = Repository(store, Order)
        order = await orders.save([CREATED, OrderApproved()])
        same = await orders.update(order.id, Order.approve)
        assert (same.version, same.state) == (order.version, OrderState.APPROVED)
        assert len(await orders.history(order.id)) == 2
        assert store_head(store) == 2


async def test_what_a_command_raises_is_raised_and_nothing_is_appended() -> None:
    async with connect("memory:") as store:
        orders = Repository(store, Order)
        order = await orders.save(CREATED)
        with pytest.raises(NotToBeCancelled, match="the order is created"):
            await orders.update(order.id, Order.cancel)
        assert store_head(store) == 1


def store_head(store: EventStore) -> int:
    head: int = store.head  # type: ignore[attr-defined]  # an embedded store has one
    return head


async def test_what_does_not_exist() -> None:
    async with connect("memory:") as store:
        orders = Repository(store, Order)
        for call in (
            orders.load("none"),
            orders.history("none"),
            orders.update("none", Order.approve),
            orders.load("none", at=datetime.now(UTC)),
        ):
            with pytest.raises(AggregateNotFound, match=r"orders.Order 'none'"):
                await call
        assert not await orders.exists("none")
        order = await orders.save(CREATED)
        assert await orders.exists(order.id)
        assert await Repository(store, Order, cache=0).exists(order.id)


async def test_spaces_and_entity_types_are_apart() -> None:
    async with connect("memory:") as store:
        here, there = Repository(store, Order), Repository(store, Order, space="there")
        await here.save(CREATED, entity_id="one")
        assert not await there.exists("one")
        await there.save([CREATED, OrderApproved()], entity_id="one")
        await Repository(store, Customer).save(Customer.create(Decimal(1)), entity_id="one")
        assert (await here.load("one")).state is OrderState.CREATED
        assert (await there.load("one")).state is OrderState.APPROVED


async def test_history_has_events_ids_times_and_metadata() -> None:
    async with connect("memory:") as store:
        orders = Repository(store, Order)
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        order = await orders.save([CREATED, OrderApproved()])
        created, approved = await orders.history(order.id)
        assert (created.event, approved.event) == (CREATED, OrderApproved())
        assert created.event_id < approved.event_id == order.version
        assert before <= created.time <= approved.time
        assert approved.time - before < timedelta(minutes=5)


async def test_looking_back_at_a_version_or_a_time() -> None:
    async with connect("memory:") as store:
        orders = Repository(store, Order)
        order = await orders.save(CREATED)
        created_at = (await orders.history(order.id))[0].time
        while datetime.now(UTC) <= created_at + timedelta(milliseconds=2):
            await asyncio.sleep(0.001)  # ids hold milliseconds
        approved = await orders.update(order.id, Order.approve)
        for at, state in (
            (order.version, OrderState.CREATED),
            (approved.version, OrderState.APPROVED),
            (created_at, OrderState.CREATED),
            (created_at.astimezone(), OrderState.CREATED),
            (created_at.astimezone().replace(tzinfo=None), OrderState.CREATED),
            (datetime.now(UTC) + timedelta(days=1), OrderState.APPROVED),
        ):
            past = await orders.load(order.id, at=at)
            assert past.state is state, at
            assert past.id == order.id
        assert (await orders.load(order.id, at=order.version)).version == order.version
        for at, text in (
            ("1-1", "was never at version 0000000000000001-0000000000000001"),
            (created_at - timedelta(milliseconds=1), "did not exist at 20"),
        ):
            with pytest.raises(AggregateNotFound, match=f"at: orders.Order '{order.id}' {text}"):
                await orders.load(order.id, at=at)
        with pytest.raises(BadRequest, match="at: "):
            await orders.load(order.id, at="yesterday")
        assert (await orders.load(order.id)).state is OrderState.APPROVED


# ── Rivals ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cache", [0, 100])
async def test_rivals_in_one_process_and_in_two_never_lose_an_update(cache: int) -> None:
    """Ten orders of 3 against a limit of 20: six are served, however they come together."""
    async with connect("memory:") as store:
        # Two repositories are as two processes: neither knows what the other does.
        one, other = (Repository(store, Customer, cache=cache) for _ in range(2))
        customer = await one.save(Customer.create(Decimal(20)))
        await asyncio.gather(
            *[
                (one if number % 2 else other).update(
                    customer.id, Customer.reserve_credit, f"order-{number}", Decimal(3)
                )
                for number in range(10)
            ]
        )
        events = [each.event for each in await one.history(customer.id)][1:]
        reserved = [each for each in events if isinstance(each, CreditReserved)]
        exceeded = [each for each in events if isinstance(each, CreditLimitExceeded)]
        assert (len(reserved), len(exceeded)) == (6, 4)
        decided = [each.order_id for each in reserved] + [each.order_id for each in exceeded]
        assert sorted(decided) == [f"order-{number}" for number in range(10)]
        for repository in (one, other):
            assert (await repository.load(customer.id)).available == 2


class TurnEvent(Event, entity="Turn"): ...


class Turned(TurnEvent):
    by: str


class Turn(Aggregate):
    last: str = ""

    def turn(self, by: str) -> Turned:
        return Turned(by)

    @apply
    def _turned(self, event: Turned) -> None:
        self.last = event.by


class Rival(Faults):
    """A store over which somebody else is always faster."""

    def __init__(self, store: EventStore, wins: int) -> None:
        super().__init__(store)
        self._rival = Repository(store, Turn, cache=0)
        self.wins = wins
        self.appends = 0

    async def append(self, space, entity_type, entity_id, *rest, **more):  # type: ignore[no-untyped-def]  # passed on
        self.appends += 1
        if self.wins:
            self.wins -= 1
            await self._rival.update(entity_id, Turn.turn, "rival")
        return await super().append(space, entity_type, entity_id, *rest, **more)


@pytest.mark.parametrize("cache", [0, 10])
async def test_a_conflict_is_decided_again_on_the_fresh_state(cache: int) -> None:
    async with memory_store() as inner:
        store = Rival(inner, wins=3)
        turns = Repository(store, Turn, cache=cache)
        await turns.save([Turned("me")], entity_id="t")
        seen: list[str] = []

        def turn(aggregate: Turn) -> Turned:
            seen.append(aggregate.last)
            return Turned("me again")

        await turns.update("t", turn)
        assert seen == ["me", "rival", "rival", "rival"]
        assert [each.event for each in await turns.history("t")] == [
            Turned("me"),
            *[Turned("rival")] * 3,
            Turned("me again"),
        ]


@pytest.mark.parametrize("attempts", [1, 4])
async def test_attempts_are_bounded(attempts: int) -> None:
    async with memory_store() as inner:
        store = Rival(inner, wins=100)
        retries = Retries(attempts=attempts, first_pause=0.0001, longest_pause=0.001)
        turns = Repository(store, Turn, retries=retries)
        await turns.save([Turned("me")], entity_id="t")
        with pytest.raises(OptimisticLockError, match="load it again"):
            await turns.update("t", Turn.turn, "me")
        assert store.appends == attempts
        assert len(await turns.history("t")) == 1 + attempts


async def test_a_conflict_that_makes_a_command_pointless_appends_nothing() -> None:
    async with memory_store() as inner:
        store = Rival(inner, wins=1)
        turns = Repository(store, Turn)
        await turns.save([Turned("me")], entity_id="t")
        turn = await turns.update("t", lambda turn: Turned("x") if turn.last == "me" else None)
        assert turn.last == "rival"
        assert store.appends == 1


def test_pauses_grow_are_drawn_by_chance_and_are_bounded() -> None:
    retries = Retries(attempts=12, first_pause=0.01, longest_pause=0.1)
    longest = [0.01, 0.02, 0.04, 0.08, *[0.1] * 7]
    drawn = [list(retries.pauses()) for _ in range(50)]
    for pauses in drawn:
        assert len(pauses) == 11
        assert all(0 <= pause <= most for pause, most in zip(pauses, longest, strict=True))
    assert len({pauses[5] for pauses in drawn}) > 40
    assert list(Retries(attempts=1).pauses()) == []
