"""The order history service: what it is asked over HTTP, and told by events."""

from pathlib import Path

from fastapi import FastAPI, HTTPException, Response

from customers_and_orders.order_history.handlers import history_subscriber
from customers_and_orders.order_history.sqlite_history import SqliteHistory
from customers_and_orders.service import service
from eventuary import EventStore


def order_history_service(store: EventStore, database: Path) -> FastAPI:
    """Return the service over a store; ``database``: the file of its view."""
    history = SqliteHistory(database)
    app = service("order history service", store, history_subscriber(history), history)

    @app.get("/customers/{customer_id}")
    async def show_customer(customer_id: str) -> Response:
        """One read of one document: the customer with their recent orders."""
        return _shown(await history.customer(customer_id), f"no customer {customer_id!r} is known")

    @app.get("/orders/{order_id}")
    async def show_order(order_id: str) -> Response:
        return _shown(await history.order(order_id), f"no order {order_id!r} is known")

    return app


def _shown(document: bytes | None, otherwise: str) -> Response:
    if document is None:
        raise HTTPException(404, f"{otherwise} here, yet")
    return Response(document, media_type="application/json")
