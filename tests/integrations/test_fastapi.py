"""FastAPI: subscribers run while the application does; repositories come as they are asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from httpx import Response
from pydantic import BaseModel

from eventuary import (
    Context,
    Encryption,
    EventStore,
    EveryEvents,
    Forbidden,
    Repository,
    Retries,
    ServiceUnavailable,
    Subscriber,
    connect,
)
from eventuary.connecting import VanishingEventStore
from eventuary.integrations.fastapi import exception_handlers, health, lifespan, repository
from eventuary.key_stores.file import FileKeyStore
from tests.framework.shop import Customer, Order, OrderCreated, customer_service, order_service
from tests.integrations.serving import served

Orders = Annotated[Repository[Order], repository(Order)]
Customers = Annotated[Repository[Customer], repository(Customer, snapshots=EveryEvents(1))]


class NewOrder(BaseModel):
    customer_id: str
    total: Decimal
    order_id: str | None = None


class NewCustomer(BaseModel):
    limit: Decimal


def shop(store: EventStore, *subscribers: Subscriber) -> FastAPI:
    """Return an application as a user writes it."""
    app = FastAPI(lifespan=lifespan(store, *subscribers), exception_handlers=exception_handlers)
    app.include_router(health(patience=10))

    @app.post("/customers")
    async def add_customer(request: NewCustomer, customers: Customers) -> str:
        return (await customers.save(Customer.create(request.limit))).id

    @app.post("/orders")
    async def place_order(request: NewOrder, orders: Orders) -> str:
        created = Order.create(request.customer_id, request.total)
        return (await orders.save(created, entity_id=request.order_id)).id

    @app.get("/orders/{order_id}")
    async def order_state(order_id: str, orders: Orders) -> str:
        return (await orders.load(order_id)).state.value

    return app


def _error(response: Response) -> tuple[int, str, str]:
    answer = response.json()
    assert set(answer) == {"error", "explanation"}
    return response.status_code, answer["error"], answer["explanation"]


async def _settled(client: httpx.AsyncClient, order_id: str) -> str:
    """Return an order's state when it has left CREATED."""
    async with asyncio.timeout(30):
        while (state := (await client.get(f"/orders/{order_id}")).json()) == "created":
            await asyncio.sleep(0.01)
    return str(state)


async def test_requests_save_and_subscribers_react() -> None:
    app = shop(connect("memory:"), customer_service, order_service)
    async with served(app) as client:
        customer_id = (await client.post("/customers", json={"limit": "100"})).json()
        states = []
        for total in ("60", "60"):
            order = {"customer_id": customer_id, "total": total}
            order_id = (await client.post("/orders", json=order)).json()
            states.append(await _settled(client, order_id))
        assert states == ["approved", "rejected"]
        assert (await client.get("/openapi.json")).status_code == 200


async def test_one_repository_serves_all_requests(tmp_path: Path) -> None:
    seen: set[int] = set()
    store = connect(f"sqlite:{tmp_path / 'events.db'}")
    app = shop(store)

    @app.get("/which")
    async def which(customers: Customers, others: Customers) -> None:
        seen.update({id(customers), id(others)})

    @app.websocket("/which")
    async def which_socket(socket: WebSocket, customers: Customers) -> None:
        seen.add(id(customers))
        await socket.accept()
        await socket.close()

    async with served(app) as client:
        for _ in range(3):
            assert (await client.get("/which")).status_code == 200
        customer_id = (await client.post("/customers", json={"limit": "100"})).json()
    assert len(seen) == 1
    # It has stored its snapshots before the store was closed.
    async with connect(f"sqlite:{tmp_path / 'events.db'}") as again:
        assert (await again.load("default", "customers.Customer", customer_id)).snapshot is not None


async def test_errors_are_answers_of_the_stores_own_form(tmp_path: Path) -> None:
    store = connect("memory:")
    encryption = Encryption(FileKeyStore(tmp_path / "keys"))
    secret = Annotated[Repository[Order], repository(Order, space="secret", encryption=encryption)]
    stubborn = Annotated[Repository[Order], repository(Order, retries=Retries(attempts=1))]
    app = shop(store)

    @app.post("/nothing")
    async def nothing(orders: Orders) -> None:
        await orders.save(None)

    @app.post("/conflict/{order_id}")
    async def conflict(order_id: str, mine: stubborn, others: Orders) -> None:
        await mine.load(order_id)
        await others.update(order_id, Order.approve)
        await mine.update(order_id, Order.reject, "too late")

    @app.get("/forgotten")
    async def forgotten(orders: secret) -> None:
        order = await orders.save(Order.create("ada", Decimal(1)), entity_id="gone")
        await encryption.forget(Order, order.id, space="secret")
        await orders.load(order.id)

    @app.get("/overload")
    async def overload() -> None:
        raise ServiceUnavailable("overload: nothing was written")

    @app.get("/forbidden")
    async def forbidden() -> None:
        raise Forbidden("the application's key may not do this")

    async with served(app) as client:
        order = {"customer_id": "ada", "total": "1", "order_id": "one"}
        assert (await client.post("/orders", json=order)).status_code == 200
        status, error, why = _error(await client.post("/orders", json=order))
        assert (status, error) == (409, "entity_exists")
        assert "'one'" in why
        assert _error(await client.get("/orders/none")) == (
            404,
            "not_found",
            "there is no orders.Order 'none' in space 'default'",
        )
        assert _error(await client.post("/nothing"))[:2] == (400, "bad_request")
        assert _error(await client.post("/conflict/one"))[:2] == (409, "optimistic_lock_error")
        assert _error(await client.get("/forgotten"))[:2] == (410, "entity_forgotten")
        unavailable = await client.get("/overload")
        assert _error(unavailable) == (
            503,
            "service_unavailable",
            "overload: nothing was written",
        )
        assert unavailable.headers["retry-after"] == "1"
        assert "retry-after" not in (await client.get("/orders/none")).headers
        # Whatever is wrong between the application and its store is not the caller's fault.
        assert (await client.get("/forbidden")).status_code == 500


async def test_readiness_tells_of_a_subscriber_that_ended() -> None:
    store = VanishingEventStore()
    async with served(shop(store, customer_service, order_service)) as client:
        assert (await client.get("/health/live")).json() == {"status": "live"}
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        await store.subscriptions.delete("default", "order-service")
        status, error, why = _error(await client.get("/health/ready"))
        assert (status, error) == (503, "service_unavailable")
        assert why.startswith("subscriber 'order-service' does not run: ")
        assert "customer-service" not in why
        assert (await client.get("/health/live")).status_code == 200


async def test_readiness_tells_of_a_store_that_does_not_answer() -> None:
    store = VanishingEventStore()
    app = shop(store)
    app.include_router(health("/impatient", patience=0.5))
    async with served(app) as client:
        assert (await client.get("/health/ready")).status_code == 200
        await store.engine.stop()
        unready = await client.get("/impatient/ready")
        assert _error(unready)[:2] == (503, "service_unavailable")
        assert "event store" in unready.json()["explanation"]
        await store.engine.start(lambda _: None)  # so that it can be closed


async def test_an_application_has_a_lifespan_of_its_own_around_it() -> None:
    steps: list[str] = []
    watch = Subscriber("watch")

    @watch.on(OrderCreated)
    async def see(event: OrderCreated, context: Context) -> None:
        steps.append(f"seen {event.customer_id}")

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[None]:
        steps.append("own begins")
        async with lifespan(connect("memory:"), watch)(app):
            yield
        steps.append("own ends")

    app = FastAPI(lifespan=own)

    @app.post("/orders")
    async def place_order(request: NewOrder, orders: Orders) -> str:
        return (await orders.save(Order.create(request.customer_id, request.total))).id

    async with served(app) as client:
        await client.post("/orders", json={"customer_id": "ada", "total": "1"})
        async with asyncio.timeout(30):
            while len(steps) < 2:
                await asyncio.sleep(0.005)
    assert steps == ["own begins", "seen ada", "own ends"]


async def test_handlers_finish_before_the_store_closes() -> None:
    store = connect("memory:")
    begun = asyncio.Event()
    finished: list[str] = []
    slow = Subscriber("slow")

    @slow.on(OrderCreated)
    async def take_time(event: OrderCreated, context: Context) -> None:
        begun.set()
        while served_still:
            await asyncio.sleep(0.005)
        finished.append((await context.update(Order, context.entity_id, Order.approve)).state.value)

    served_still = True

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[None]:
        nonlocal served_still
        async with lifespan(store, slow)(app):
            yield
            served_still = False

    app = FastAPI(lifespan=own)

    @app.post("/orders")
    async def place_order(orders: Orders) -> None:
        await orders.save(Order.create("ada", Decimal(1)))

    async with served(app) as client:
        await client.post("/orders")
        await begun.wait()
    assert finished == ["approved"]


async def test_without_the_lifespan_it_says_what_is_missing() -> None:
    app = FastAPI()
    app.include_router(health())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://app"
    ) as inside:
        with pytest.raises(RuntimeError, match=r"write FastAPI\(lifespan=lifespan\(store, …\)\)"):
            await inside.get("/health/ready")
