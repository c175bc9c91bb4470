"""The notification service: it is told by events alone."""

from pathlib import Path

from fastapi import FastAPI

from customers_and_orders.notifications.handlers import notification_subscriber
from customers_and_orders.notifications.outbox import Outbox
from customers_and_orders.service import service
from eventuary import EventStore


def notification_service(store: EventStore, outbox: Path) -> FastAPI:
    """Return the service over a store; ``outbox``: the folder of its e-mails."""
    return service("notification service", store, notification_subscriber(Outbox(outbox)))
