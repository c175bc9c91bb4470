"""What the notification service does when an order is approved."""

import asyncio

from customers_and_orders.events.orders import OrderApproved
from customers_and_orders.notifications.confirmation import confirmation
from customers_and_orders.notifications.outbox import Outbox
from eventuary import Context, Subscriber


def notification_subscriber(outbox: Outbox) -> Subscriber:
    """Write confirmations into this outbox."""
    subscriber = Subscriber("notification-service")

    @subscriber.on(OrderApproved)
    async def confirm(event: OrderApproved, context: Context) -> None:
        message = confirmation(
            event.customer_id,
            context.entity_id,
            event.order_total,
            context.time,
            context.event_token,
        )
        await asyncio.to_thread(outbox.put, context.event_token, message)

    return subscriber
