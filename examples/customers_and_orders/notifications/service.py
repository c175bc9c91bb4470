"""The notification service as one thing. It is asked nothing over HTTP."""

from pathlib import Path

from fastapi import APIRouter

from customers_and_orders.notifications.handlers import notification_subscriber
from customers_and_orders.notifications.outbox import Outbox
from customers_and_orders.service import Service


def notification_service(outbox: Path) -> Service:
    """Return the service; ``outbox``: the folder of its e-mails."""
    return Service(APIRouter(), notification_subscriber(Outbox(outbox)))
