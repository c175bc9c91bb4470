"""What the customer service does when something happens to orders.

An order's events are handled in their order: when it is cancelled, its creation was answered.
"""

import contextlib

from customers_and_orders.customers.credit_check import CreditCheck
from customers_and_orders.customers.customer import Customer
from customers_and_orders.events.orders import OrderCancelled, OrderCreated
from eventuary import AggregateNotFound, Context, Subscriber

subscriber = Subscriber("customer-service")


@subscriber.on(OrderCreated)
async def reserve_credit(event: OrderCreated, context: Context) -> None:
    """Answer an order out of its customer's credit."""
    order_id = context.entity_id
    try:
        await context.update(
            Customer, event.customer_id, Customer.reserve_credit, order_id, event.order_total
        )
    except AggregateNotFound:
        # An answer like any other: to fail here would try again, and again find nobody.
        unknown = CreditCheck.customer_unknown(event.customer_id)
        await context.save(CreditCheck, unknown, entity_id=order_id)


@subscriber.on(OrderCancelled)
async def release_credit(event: OrderCancelled, context: Context) -> None:
    """Free what is held for an order that nobody wants any more."""
    with contextlib.suppress(AggregateNotFound):
        await context.update(
            Customer, event.customer_id, Customer.release_credit, context.entity_id
        )
