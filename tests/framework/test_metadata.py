"""Metadata: who did it, in the course of what, under which trace; from event to event."""

import asyncio
from decimal import Decimal

import pytest

from eventuary import Context, Metadata, Repository, Subscriber, connect, metadata, running
from eventuary.engines.engine import LogQuery
from eventuary.events import NewEvent
from eventuary.framework.metadata import decode_metadata
from tests.framework.shop import (
    CreditReserved,
    Customer,
    Order,
    OrderApproved,
    OrderCreated,
    OrderState,
    customer_service,
    order_service,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_what_is_set_holds_within_the_block_and_for_what_it_calls() -> None:
    async with connect("memory:") as store:
        orders = Repository(store, Order)

        async def place() -> Metadata:
            order = await orders.save(Order.create("c", Decimal(1)))
            return (await orders.history(order.id))[0].metadata

        with metadata(actor="ada", extra={"ip": "127.0.0.1"}):
            with metadata(traceparent=TRACE, tracestate="a=b", extra={"path": "/orders"}):
                everything = await asyncio.create_task(place())
            outer = await place()
        assert everything == Metadata(
            actor="ada",
            traceparent=TRACE,
            tracestate="a=b",
            extra={"ip": "127.0.0.1", "path": "/orders"},
        )
        assert outer == Metadata(actor="ada", extra={"ip": "127.0.0.1"})
        assert await place() == Metadata()


async def test_tasks_side_by_side_do_not_mix() -> None:
    async with connect("memory:") as store:
        orders = Repository(store, Order)

        async def place(actor: str) -> tuple[str, str | None]:
            with metadata(actor=actor):
                await asyncio.sleep(0)
                order = await orders.save(Order.create(actor, Decimal(1)))
            return actor, (await orders.history(order.id))[0].metadata.actor

        for set_, stored in await asyncio.gather(*[place(f"user-{n}") for n in range(20)]):
            assert set_ == stored


async def test_actor_correlation_and_trace_go_through_a_chain_of_three_handlers() -> None:
    auditor = Subscriber("auditor")
    seen: list[tuple[str, Metadata]] = []

    @auditor.on(OrderCreated, CreditReserved, OrderApproved)
    async def audit(event: OrderCreated | CreditReserved | OrderApproved, context: Context) -> None:
        seen.append((type(event).__name__, context.metadata))

    async with (
        connect("memory:") as store,
        running(store, customer_service, order_service, auditor) as run,
    ):
        customers, orders = Repository(store, Customer), Repository(store, Order)
        customer = await customers.save(Customer.create(Decimal(10)))
        with metadata(actor="ada", traceparent=TRACE, tracestate="a=b", extra={"ip": "::1"}):
            order = await orders.save(Order.create(customer.id, Decimal(3)))
        first = (await orders.history(order.id))[0]
        assert first.metadata.correlation_id is None
        for _ in range(3):
            await run.caught_up()
        assert (await orders.load(order.id)).state is OrderState.APPROVED
    assert [name for name, _ in seen] == ["OrderCreated", "CreditReserved", "OrderApproved"]
    for name, carried in seen[1:]:
        assert carried == Metadata(
            actor="ada", correlation_id=first.event_id, traceparent=TRACE, tracestate="a=b"
        ), name


async def test_a_correlation_that_was_set_is_kept() -> None:
    async with connect("memory:") as store, running(store, customer_service) as run:
        customers = Repository(store, Customer)
        customer = await customers.save(Customer.create(Decimal(10)))
        with metadata(correlation_id="checkout-7"):
            await Repository(store, Order).save(Order.create(customer.id, Decimal(3)))
        await run.caught_up()
        assert (await customers.history(customer.id))[1].metadata.correlation_id == "checkout-7"


async def test_a_handler_may_say_more() -> None:
    auditor = Subscriber("auditor")

    @auditor.on(OrderCreated)
    async def approve(_: OrderCreated, context: Context) -> None:
        with metadata(actor="robot", extra={"rule": "7"}):
            await context.update(Order, context.entity_id, Order.approve)

    async with connect("memory:") as store, running(store, auditor) as run:
        orders = Repository(store, Order)
        with metadata(actor="ada"):
            order = await orders.save(Order.create("c", Decimal(1)))
        await run.caught_up()
        created, approved = await orders.history(order.id)
        assert approved.metadata == Metadata(
            actor="robot", correlation_id=created.event_id, extra={"rule": "7"}
        )


async def test_who_starts_a_subscriber_is_not_who_caused_what_it_handles() -> None:
    async with connect("memory:") as store:
        customers = Repository(store, Customer)
        customer = await customers.save(Customer.create(Decimal(10)))
        await Repository(store, Order).save(Order.create(customer.id, Decimal(3)))
        with metadata(actor="operator", correlation_id="deployment", extra={"host": "h"}):
            async with running(store, customer_service) as run:
                await run.caught_up()
        reserved = (await customers.history(customer.id))[1].metadata
        assert reserved.actor is None
        assert reserved.correlation_id not in (None, "deployment")
        assert reserved.extra == {}


@pytest.mark.parametrize(
    "text",
    ["just text", "", "[1,2]", "7", '{"userId":"u1"}', '{"actor":{"id":7}}', "{not json"],
)
async def test_what_another_client_stored_is_kept_as_text(text: str) -> None:
    assert decode_metadata(text) == Metadata(extra={"raw": text})
    async with connect("memory:") as store:
        await store.create(
            "default",
            "orders.Order",
            [NewEvent("OrderCreated", '{"customer_id":"c","total":"1"}', text)],
            entity_id="theirs",
        )
        orders = Repository(store, Order)
        assert (await orders.load("theirs")).state is OrderState.CREATED
        assert (await orders.history("theirs"))[0].metadata.extra == {"raw": text}


def test_fields_of_a_newer_writer_are_ignored() -> None:
    assert decode_metadata('{"actor":"ada","mood":"good"}') == Metadata(actor="ada")


async def test_equal_events_of_two_calls_can_be_told_apart_in_the_store() -> None:
    """A remote store whose answer was lost must not take another's equal append for its own."""
    async with connect("memory:") as store:
        orders = Repository(store, Order)
        for _ in range(2):
            await orders.save(Order.create("ada", Decimal(1)))
        page = await store.read_log(LogQuery("default", 0))  # type: ignore[attr-defined] # embedded
        first, second = page.events
        assert first.event_data == second.event_data
        assert first.metadata != second.metadata
        assert decode_metadata(first.metadata) == decode_metadata(second.metadata) == Metadata()
