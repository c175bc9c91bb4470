"""What the order history service is asked over HTTP: each answer is one read of one document."""

import msgspec
from fastapi import APIRouter, HTTPException, Response

from customers_and_orders.order_history.history import OrderHistory


def history_routes(history: OrderHistory) -> APIRouter:
    """Return the routes that read this history."""
    routes = APIRouter(tags=["order history"])

    @routes.get("/customers/{customer_id}")
    async def show_customer(customer_id: str) -> Response:
        """Show a customer with their recent orders."""
        document = await history.customers.get(customer_id)
        if document is None or document.name is None:  # an order may be known before its customer
            raise HTTPException(404, f"no customer {customer_id!r} is known here, yet")
        return _shown(document)

    @routes.get("/orders/{order_id}")
    async def show_order(order_id: str) -> Response:
        """Show an order."""
        document = await history.orders.get(order_id)
        if document is None:
            raise HTTPException(404, f"no order {order_id!r} is known here, yet")
        return _shown(document)

    return routes


def _shown(document: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")
