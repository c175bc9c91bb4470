"""The order history: a view of customers and orders, and what events change in it."""

from typing import NamedTuple

from customers_and_orders.events.customers import CreditReleased, CreditReserved, CustomerCreated
from customers_and_orders.events.orders import (
    OrderApproved,
    OrderCancelled,
    OrderCreated,
    OrderRejected,
)
from customers_and_orders.order_history.documents import RECENT, CustomerDocument, OrderDocument
from eventuary.views import Collection, View, ViewContext
from eventuary.views.storage import DocumentStorage


class OrderHistory(NamedTuple):
    """The view, and its documents."""

    view: View
    customers: Collection[CustomerDocument]
    orders: Collection[OrderDocument]


def order_history(storage: DocumentStorage) -> OrderHistory:
    """Return the order history that is kept in ``storage``."""
    view = View("order-history", storage)
    customers = view.collection("customers", CustomerDocument)
    orders = view.collection("orders", OrderDocument)

    customers.on(CustomerCreated)(describe_customer)
    customers.on(CreditReserved)(reserve)
    customers.on(CreditReleased)(release)
    # An order's events change its customer's document too.
    customers.on(OrderCreated, key=lambda event: event.customer_id)(show_order)
    customers.on(OrderApproved, key=lambda event: event.customer_id)(show_approved)
    customers.on(OrderRejected, key=lambda event: event.customer_id)(show_rejected)
    customers.on(OrderCancelled, key=lambda event: event.customer_id)(show_cancelled)

    orders.on(OrderCreated)(place)
    orders.on(OrderApproved)(approve)
    orders.on(OrderRejected)(reject)
    orders.on(OrderCancelled)(cancel)
    return OrderHistory(view, customers, orders)


# ── A customer ────────────────────────────────────────────────────────────────────────────────────


def describe_customer(customer: CustomerDocument, event: CustomerCreated, _: ViewContext) -> None:
    """Add what a customer is."""
    customer.name, customer.credit_limit = event.name, event.credit_limit


def reserve(customer: CustomerDocument, event: CreditReserved, _: ViewContext) -> None:
    """Hold credit."""
    customer.credit_reserved += event.amount


def release(customer: CustomerDocument, event: CreditReleased, _: ViewContext) -> None:
    """Hold it no more."""
    customer.credit_reserved -= event.amount


def show_order(customer: CustomerDocument, event: OrderCreated, context: ViewContext) -> None:
    """Add an order, while it is one of the recent ones."""
    order = OrderDocument(context.entity_id)
    place(order, event, context)
    customer.orders.append(order)
    # Not in the order in which they come, which another run of the same events may not have.
    customer.orders.sort(key=lambda each: (each.placed_at, each.order_id), reverse=True)
    del customer.orders[RECENT:]


def show_approved(customer: CustomerDocument, event: OrderApproved, context: ViewContext) -> None:
    """Show an order in its new state."""
    for order in _shown(customer, context):
        approve(order, event, context)


def show_rejected(customer: CustomerDocument, event: OrderRejected, context: ViewContext) -> None:
    """Show an order in its new state."""
    for order in _shown(customer, context):
        reject(order, event, context)


def show_cancelled(customer: CustomerDocument, event: OrderCancelled, context: ViewContext) -> None:
    """Show an order in its new state."""
    for order in _shown(customer, context):
        cancel(order, event, context)


def _shown(customer: CustomerDocument, context: ViewContext) -> list[OrderDocument]:
    """Return the order of the event, if the document still shows it."""
    return [each for each in customer.orders if each.order_id == context.entity_id]


# ── An order ──────────────────────────────────────────────────────────────────────────────────────


def place(order: OrderDocument, event: OrderCreated, context: ViewContext) -> None:
    """Note what is wanted."""
    order.customer_id, order.order_total = event.customer_id, event.order_total
    order.placed_at = context.time


def approve(order: OrderDocument, _: OrderApproved, __: ViewContext) -> None:
    """Note the new state."""
    order.state = "APPROVED"


def reject(order: OrderDocument, event: OrderRejected, _: ViewContext) -> None:
    """Note the new state, and why."""
    order.state, order.rejection_reason = "REJECTED", event.reason


def cancel(order: OrderDocument, _: OrderCancelled, __: ViewContext) -> None:
    """Note the new state."""
    order.state = "CANCELLED"
