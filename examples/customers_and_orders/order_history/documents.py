"""The documents that queries read: an order, and a customer with their recent orders.

Each can be made from its key alone, as events of different entities come in any order: an order may
be here before its customer is.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from customers_and_orders.events.orders import RejectionReason

#: Orders that a customer's document has: the newest.
RECENT = 100

_NOTHING = Decimal("0.00")


class OrderDocument(msgspec.Struct, rename="camel"):
    """An order; ``state`` is CREATED, APPROVED, REJECTED or CANCELLED."""

    order_id: str
    customer_id: str = ""
    order_total: Decimal = _NOTHING
    state: str = "CREATED"
    placed_at: datetime | None = None
    rejection_reason: RejectionReason | msgspec.UnsetType = msgspec.UNSET


class CustomerDocument(msgspec.Struct, rename="camel"):
    """A customer with their recent orders, newest first.

    ``name`` and ``credit_limit`` are None until the customer's own event has come.
    """

    customer_id: str
    name: str | None = None
    credit_limit: Decimal | None = None
    credit_reserved: Decimal = _NOTHING
    orders: list[OrderDocument] = []
