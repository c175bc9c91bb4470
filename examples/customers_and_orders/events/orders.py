"""What happens to orders."""

from decimal import Decimal
from enum import StrEnum

from eventuary import Event, JsonObject, upcaster


class RejectionReason(StrEnum):
    """Why an order was rejected."""

    CREDIT_LIMIT_EXCEEDED = "CREDIT_LIMIT_EXCEEDED"
    UNKNOWN_CUSTOMER = "UNKNOWN_CUSTOMER"


class OrderEvent(Event, entity="orders.Order"):
    """Something happened to an order."""


class OrderCreated(OrderEvent, version=2):
    """Somebody wants something; whether they get it is not known yet."""

    customer_id: str
    order_total: Decimal


class OrderApproved(OrderEvent):
    """The customer's credit holds the total. All that a reader needs is in here."""

    customer_id: str
    order_total: Decimal


class OrderRejected(OrderEvent):
    """The order will not be."""

    customer_id: str
    reason: RejectionReason


class OrderCancelled(OrderEvent):
    """The customer does not want it any more; any credit that is held for it is to be released."""

    customer_id: str


@upcaster(OrderCreated, from_version=1)
def order_total_was_total(data: JsonObject) -> JsonObject:
    """In the first version ``order_total`` was named ``total``."""
    return {"customer_id": data["customer_id"], "order_total": data["total"]}
