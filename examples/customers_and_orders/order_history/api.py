"""What the order history service is asked over HTTP: each answer is one read of one document."""

from fastapi import APIRouter, HTTPException, Response

from customers_and_orders.order_history.sqlite_history import SqliteHistory


def history_routes(history: SqliteHistory) -> APIRouter:
    """Return the routes that read this history."""
    routes = APIRouter(tags=["order history"])

    @routes.get("/customers/{customer_id}")
    async def show_customer(customer_id: str) -> Response:
        """Show a customer with their recent orders."""
        return _shown(await history.customer(customer_id), f"no customer {customer_id!r}")

    @routes.get("/orders/{order_id}")
    async def show_order(order_id: str) -> Response:
        """Show an order."""
        return _shown(await history.order(order_id), f"no order {order_id!r}")

    return routes


def _shown(document: bytes | None, nothing: str) -> Response:
    if document is None:
        raise HTTPException(404, f"{nothing} is known here, yet")
    return Response(document, media_type="application/json")
