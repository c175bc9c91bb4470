"""The notification service as one thing. It is asked nothing over HTTP."""

from fastapi import APIRouter

from customers_and_orders.notifications.confirmation import SENDER
from customers_and_orders.notifications.handlers import notification_subscriber
from customers_and_orders.service import Service
from eventuary.integrations.email import Mailer


def notification_service(mailer: Mailer, sender: str = SENDER) -> Service:
    """Return the service; ``mailer`` sends its e-mails, from ``sender``."""
    return Service(APIRouter(), notification_subscriber(mailer, sender), own=[mailer])
