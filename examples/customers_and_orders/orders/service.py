"""The order service: what it is asked over HTTP, and told by events."""

from decimal import Decimal
from typing import Annotated

from fastapi import FastAPI, HTTPException
from pydantic import Field, StringConstraints

from customers_and_orders.events.orders import RejectionReason
from customers_and_orders.json_shapes import Amount, JsonShape
from customers_and_orders.orders.handlers import order_subscriber
from customers_and_orders.orders.order import CancelledTooLate, Order, OrderState
from customers_and_orders.service import service
from eventuary import EventStore, Repository

#: What can be an entity's id; whether there is such a customer is for the customer service to say.
_CustomerId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^[^/\x00-\x1f\x7f-\x9f]+$"),
]


class NewOrder(JsonShape):
    """An order that is to be."""

    customer_id: _CustomerId
    order_total: Annotated[Amount, Field(gt=0)]


class OrderShown(JsonShape):
    """An order that is."""

    order_id: str
    customer_id: str
    order_total: Decimal
    state: OrderState
    rejection_reason: RejectionReason | None = None


def order_service(store: EventStore) -> FastAPI:
    """Return the service over a store."""
    orders = Repository(store, Order)
    app = service("order service", store, order_subscriber(orders))

    @app.post("/orders", status_code=201)
    async def place_order(new: NewOrder) -> OrderShown:
        return _shown(await orders.save(Order.create(new.customer_id, new.order_total)))

    @app.get("/orders/{order_id}")
    async def show_order(order_id: str) -> OrderShown:
        return _shown(await orders.load(order_id))

    @app.post("/orders/{order_id}/cancel")
    async def cancel_order(order_id: str) -> OrderShown:
        try:
            return _shown(await orders.update(order_id, Order.cancel))
        except CancelledTooLate as error:
            raise HTTPException(409, str(error)) from None

    return app


def _shown(order: Order) -> OrderShown:
    return OrderShown(
        order_id=order.id,
        customer_id=order.customer_id,
        order_total=order.order_total,
        state=order.state,
        rejection_reason=order.rejection_reason,
    )
