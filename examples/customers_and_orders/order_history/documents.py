"""The documents that queries read, and how what happens changes them.

Events of different entities come in any order: an order may be here before its customer is.
"""

from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from customers_and_orders.events.orders import RejectionReason

#: Orders that a customer's document has: the newest.
RECENT = 100

_NOTHING = Decimal("0.00")


class OrderDocument(msgspec.Struct, rename="camel", omit_defaults=True):
    """An order; ``state`` is CREATED, APPROVED, REJECTED or CANCELLED."""

    order_id: str
    customer_id: str
    order_total: Decimal
    state: str
    placed_at: datetime
    rejection_reason: RejectionReason | None = None


class CustomerDocument(msgspec.Struct, rename="camel"):
    """A customer with their recent orders, newest first.

    ``name`` and ``credit_limit`` are None until the customer's own event has come.
    """

    customer_id: str
    name: str | None = None
    credit_limit: Decimal | None = None
    credit_reserved: Decimal = _NOTHING
    orders: list[OrderDocument] = []


class Documents(Protocol):
    """The documents, within a change that happens as a whole or not at all."""

    def customer(self, customer_id: str) -> CustomerDocument:
        """Return a customer's document; one that knows nothing yet if there is none."""

    def order(self, order_id: str) -> OrderDocument:
        """Return an order's document. Raises LookupError."""

    def put_customer(self, document: CustomerDocument) -> None:
        """Keep it."""

    def put_order(self, document: OrderDocument) -> None:
        """Keep it."""


def describe_customer(
    documents: Documents, customer_id: str, name: str, credit_limit: Decimal
) -> None:
    """Add what a customer is."""
    document = documents.customer(customer_id)
    document.name, document.credit_limit = name, credit_limit
    documents.put_customer(document)


def change_reserved(documents: Documents, customer_id: str, by: Decimal) -> None:
    """Add to the credit that is held, or take from it."""
    document = documents.customer(customer_id)
    document.credit_reserved += by
    documents.put_customer(document)


def add_order(documents: Documents, order: OrderDocument) -> None:
    """Add an order, and to its customer too while it is one of the recent ones."""
    documents.put_order(order)
    customer = documents.customer(order.customer_id)
    customer.orders.append(order)
    # Not in the order in which they come, which another run of the same events may not have.
    customer.orders.sort(key=lambda each: (each.placed_at, each.order_id), reverse=True)
    del customer.orders[RECENT:]
    documents.put_customer(customer)


def move_order(
    documents: Documents, order_id: str, state: str, reason: RejectionReason | None = None
) -> None:
    """Note an order's new state, wherever the order is shown."""
    order = documents.order(order_id)
    order.state, order.rejection_reason = state, reason
    documents.put_order(order)
    customer = documents.customer(order.customer_id)
    customer.orders = [order if each.order_id == order_id else each for each in customer.orders]
    documents.put_customer(customer)
