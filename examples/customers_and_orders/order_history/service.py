"""The order history service as one thing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from customers_and_orders.order_history.api import history_routes
from customers_and_orders.order_history.history import order_history
from customers_and_orders.service import Service
from eventuary.views.storage import DocumentStorage


def history_service(storage: DocumentStorage) -> Service:
    """Return the service; ``storage``: where its view is kept."""
    history = order_history(storage)
    return Service(history_routes(history), history.view, [_closed_at_the_end(storage)])


@asynccontextmanager
async def _closed_at_the_end(storage: DocumentStorage) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await storage.close()
