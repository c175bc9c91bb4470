"""What the order service does when the customer service has answered."""

from customers_and_orders.events.customers import (
    CreditLimitExceeded,
    CreditReserved,
    CustomerUnknown,
)
from customers_and_orders.events.orders import RejectionReason
from customers_and_orders.orders.order import Order
from eventuary import Context, Subscriber

subscriber = Subscriber("order-service")


@subscriber.on(CreditReserved)
async def approve(event: CreditReserved, context: Context) -> None:
    """The credit is held."""
    await context.update(Order, event.order_id, Order.approve)


@subscriber.on(CreditLimitExceeded)
async def reject(event: CreditLimitExceeded, context: Context) -> None:
    """There is not enough of it."""
    reason = RejectionReason.CREDIT_LIMIT_EXCEEDED
    await context.update(Order, event.order_id, Order.reject, reason)


@subscriber.on(CustomerUnknown)
async def reject_unknown(_: CustomerUnknown, context: Context) -> None:
    """There is nobody to ask. The check has the order's id."""
    await context.update(Order, context.entity_id, Order.reject, RejectionReason.UNKNOWN_CUSTOMER)
