"""One trace from a request through the handlers that its events lead to."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from eventuary import (
    AggregateNotFound,
    Context,
    DeliveryPolicy,
    Metadata,
    Repository,
    Subscriber,
    connect,
    metadata,
    running,
)
from eventuary.events import NewEvent
from eventuary.integrations import opentelemetry
from eventuary.integrations.fastapi import lifespan, repository
from tests.framework.shop import Customer, Order, OrderCreated, customer_service, order_service
from tests.integrations.serving import served

#: What a caller sends along: version, trace, parent, sampled (W3C Trace Context, section 3.2).
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider()


@pytest.fixture
def exporter(provider: TracerProvider) -> Iterator[InMemorySpanExporter]:
    """What is traced."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    opentelemetry.instrument(provider)
    yield exporter
    opentelemetry.uninstrument()
    provider.shutdown()


def _trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def _lineage(spans: tuple[ReadableSpan, ...], name: str) -> list[str]:
    """Return the names of the only span of a name and of those it came from, youngest first."""
    by_id = {span.context.span_id: span for span in spans if span.context is not None}
    [span] = [span for span in spans if span.name == name]
    names = [span.name]
    while span.parent is not None and span.parent.span_id in by_id:
        span = by_id[span.parent.span_id]
        names.append(span.name)
    return names


async def test_one_trace_from_a_request_through_two_handlers(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    store = connect("memory:")
    app = FastAPI(lifespan=lifespan(store, customer_service, order_service))

    @app.post("/orders")
    async def place_order(
        orders: Annotated[Repository[Order], repository(Order)], customer_id: str
    ) -> str:
        return (await orders.save(Order.create(customer_id, Decimal(10)))).id

    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, exclude_spans=["send"])
    async with served(app) as client:
        customers, orders = Repository(store, Customer), Repository(store, Order)
        customer = await customers.save(Customer.create(Decimal(100)))
        exporter.clear()
        answer = await client.post(
            "/orders", params={"customer_id": customer.id}, headers={"traceparent": TRACEPARENT}
        )
        order_id = answer.json()
        async with asyncio.timeout(30):
            while not any(
                span.name == "handle CreditReserved" for span in exporter.get_finished_spans()
            ):
                await asyncio.sleep(0.01)
        recorded = await orders.history(order_id)
    FastAPIInstrumentor.uninstrument_app(app)

    spans = exporter.get_finished_spans()
    assert {_trace_id(span) for span in spans} == {TRACE}
    assert _lineage(spans, "update orders.Order") == [
        "update orders.Order",
        "handle CreditReserved",
        "update customers.Customer",
        "handle OrderCreated",
        "save orders.Order",
        "POST /orders",
    ]
    [request] = [span for span in spans if span.name == "POST /orders"]
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT
    assert [each.metadata.traceparent[3:35] for each in recorded if each.metadata.traceparent] == [
        TRACE,
        TRACE,
    ]

    [handling] = [span for span in spans if span.name == "handle OrderCreated"]
    assert handling.kind is SpanKind.CONSUMER
    assert handling.attributes == {
        "eventuary.subscriber_id": "customer-service",
        "eventuary.event_type": "OrderCreated",
        "eventuary.event_id": recorded[0].event_id,
        "eventuary.entity_type": "orders.Order",
        "eventuary.entity_id": order_id,
    }
    [saving] = [span for span in spans if span.name == "save orders.Order"]
    assert saving.kind is SpanKind.PRODUCER
    assert saving.attributes == {
        "eventuary.entity_type": "orders.Order",
        "eventuary.entity_id": order_id,
    }


async def test_each_event_goes_on_with_its_own_trace_side_by_side(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = trace.get_tracer("test", tracer_provider=provider)
    async with connect("memory:") as store, running(store, customer_service) as runs:
        customers, orders = Repository(store, Customer), Repository(store, Order)
        customer = await customers.save(Customer.create(Decimal(1000)))
        exporter.clear()

        async def place(number: int) -> tuple[str, str]:
            with tracer.start_as_current_span(f"request {number}") as span:
                order = await orders.save(Order.create(customer.id, Decimal(1)))
                return order.id, f"{span.get_span_context().trace_id:032x}"

        placed = dict(await asyncio.gather(*(place(number) for number in range(20))))
        await runs.caught_up()
        reserved = (await customers.history(customer.id))[1:]
    assert len(set(placed.values())) == 20
    handled = {
        span.attributes["eventuary.entity_id"]: _trace_id(span)
        for span in exporter.get_finished_spans()
        if span.name == "handle OrderCreated" and span.attributes is not None
    }
    assert handled == placed
    traces = [each.metadata.traceparent[3:35] for each in reserved if each.metadata.traceparent]
    assert sorted(traces) == sorted(placed.values())


async def test_what_fails_is_a_span_that_failed(exporter: InMemorySpanExporter) -> None:
    watch = Subscriber("watch", policy=DeliveryPolicy(first_pause=0.001))

    @watch.on(OrderCreated)
    async def stumble(event: OrderCreated, context: Context) -> None:
        if context.attempt == 1:
            raise RuntimeError("a stone")
        await context.load(Order, context.entity_id)

    async with connect("memory:") as store, running(store, watch) as runs:
        orders = Repository(store, Order)
        await orders.save(Order.create("ada", Decimal(1)))
        await runs.caught_up()
        with pytest.raises(AggregateNotFound):
            await orders.update("nobody", Order.approve)
    spans = exporter.get_finished_spans()
    first, second = (span for span in spans if span.name == "handle OrderCreated")
    assert first.status.status_code is StatusCode.ERROR
    assert "a stone" in str(first.status.description)
    assert [event.name for event in first.events] == ["exception"]
    assert second.status.status_code is StatusCode.UNSET
    assert _trace_id(first) == _trace_id(second)
    assert _lineage(spans, "load orders.Order")[1:] == ["handle OrderCreated", "save orders.Order"]
    [updating] = [span for span in spans if span.name == "update orders.Order"]
    assert updating.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("stored", [None, '{"traceparent":"rubbish"}', "a client's own"])
async def test_an_event_without_a_trace_begins_one(
    exporter: InMemorySpanExporter, provider: TracerProvider, stored: str | None
) -> None:
    tracer = trace.get_tracer("test", tracer_provider=provider)
    watch = Subscriber("watch")

    @watch.on(OrderCreated)
    async def see(event: OrderCreated, context: Context) -> None: ...

    async with connect("memory:") as store, running(store, watch) as runs:
        with tracer.start_as_current_span("somebody else's"):
            data = '{"customer_id":"ada","total":"1"}'
            created = NewEvent("OrderCreated", data, stored)
            await store.create("default", "orders.Order", [created])
            await runs.caught_up()
    [handling] = [span for span in exporter.get_finished_spans() if span.name.startswith("handle")]
    assert handling.parent is None


async def test_a_trace_that_only_the_metadata_name_goes_on(exporter: InMemorySpanExporter) -> None:
    seen: list[Metadata] = []
    watch = Subscriber("watch")

    @watch.on(OrderCreated)
    async def see(event: OrderCreated, context: Context) -> None:
        order = await context.update(Order, context.entity_id, Order.approve)
        seen.append((await Repository(store, Order).history(order.id))[-1].metadata)

    async with connect("memory:") as store, running(store, watch) as runs:
        with metadata(traceparent=TRACEPARENT, tracestate="vendor=1"):
            await Repository(store, Order).save(Order.create("ada", Decimal(1)))
        await runs.caught_up()
    assert seen[0].tracestate == "vendor=1"
    assert seen[0].traceparent is not None
    assert seen[0].traceparent[3:35] == TRACE
    assert seen[0].traceparent != TRACEPARENT


async def test_nothing_is_traced_unless_asked_for(exporter: InMemorySpanExporter) -> None:
    opentelemetry.uninstrument()
    async with connect("memory:") as store:
        orders = Repository(store, Order)
        order = await orders.save(Order.create("ada", Decimal(1)))
        assert (await orders.history(order.id))[0].metadata == Metadata()
    assert exporter.get_finished_spans() == ()
