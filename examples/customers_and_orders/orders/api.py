"""What the order service is asked over HTTP."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import Field, StringConstraints

from customers_and_orders.events.orders import RejectionReason
from customers_and_orders.json_shapes import Amount, JsonShape
from customers_and_orders.orders.order import CancelledTooLate, Order, OrderState
from eventuary import Repository
from eventuary.integrations.fastapi import repository

Orders = Annotated[Repository[Order], repository(Order)]

#: What can be an entity's id; whether there is such a customer is for the customer service to say.
CustomerId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^[^/\x00-\x1f\x7f-\x9f]+$"),
]

routes = APIRouter(tags=["orders"])


class NewOrder(JsonShape):
    """An order that is to be."""

    customer_id: CustomerId
    order_total: Annotated[Amount, Field(gt=0)]


class OrderShown(JsonShape):
    """An order that is."""

    order_id: str
    customer_id: str
    order_total: Decimal
    state: OrderState
    rejection_reason: RejectionReason | None = None


@routes.post("/orders", status_code=201)
async def place_order(new: NewOrder, orders: Orders) -> OrderShown:
    """Place an order. The answer does not wait for its approval."""
    return _shown(await orders.save(Order.create(new.customer_id, new.order_total)))


@routes.get("/orders/{order_id}")
async def show_order(order_id: str, orders: Orders) -> OrderShown:
    """Tell how an order stands."""
    return _shown(await orders.load(order_id))


@routes.post("/orders/{order_id}/cancel")
async def cancel_order(order_id: str, orders: Orders) -> OrderShown:
    """Withdraw an order; 409 when it was rejected."""
    try:
        return _shown(await orders.update(order_id, Order.cancel))
    except CancelledTooLate as error:
        raise HTTPException(409, str(error)) from None


def _shown(order: Order) -> OrderShown:
    return OrderShown(
        order_id=order.id,
        customer_id=order.customer_id,
        order_total=order.order_total,
        state=order.state,
        rejection_reason=order.rejection_reason,
    )
