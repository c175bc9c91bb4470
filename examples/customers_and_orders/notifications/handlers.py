"""What the notification service does when an order is approved."""

from customers_and_orders.events.orders import OrderApproved
from customers_and_orders.notifications.confirmation import SENDER, confirmation
from eventuary import Context, DeliveryPolicy, OnDeadLetter, OutsideSystem, Subscriber
from eventuary.integrations.email import Mailer


def notification_subscriber(mailer: Mailer, sender: str = SENDER) -> Subscriber:
    """Send confirmations through this mailer, which is open while the subscriber runs."""
    # One e-mail that nobody takes must not keep those to other customers waiting.
    policy = DeliveryPolicy(on_dead_letter=OnDeadLetter.CONTINUE)
    subscriber = Subscriber("notification-service", policy=policy)
    mail = OutsideSystem("mail")

    @subscriber.on(OrderApproved)
    async def confirm(event: OrderApproved, context: Context) -> None:
        message = confirmation(
            sender,
            event.customer_id,
            context.entity_id,
            event.order_total,
            context.time,
            context.event_token,
        )
        await context.call(mail, lambda key: mailer.send(message, key))

    return subscriber
