"""The order history service as one thing."""

from pathlib import Path

from customers_and_orders.order_history.api import history_routes
from customers_and_orders.order_history.handlers import history_subscriber
from customers_and_orders.order_history.sqlite_history import SqliteHistory
from customers_and_orders.service import Service


def history_service(database: Path) -> Service:
    """Return the service; ``database``: the file of its view."""
    history = SqliteHistory(database)
    return Service(history_routes(history), history_subscriber(history), [history])
