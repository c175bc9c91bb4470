"""``python -m customers_and_orders``: all four services in one process, each under its own path.

The same services, over a store that may be in this process too: ``--store sqlite:shop.db`` needs no
server.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from fastapi import FastAPI

from customers_and_orders.customers.service import customer_service
from customers_and_orders.notifications.service import notification_service
from customers_and_orders.order_history.service import order_history_service
from customers_and_orders.orders.service import order_service
from customers_and_orders.serving import Host, Port, Store, serve
from eventuary import EventStore


def all_services(store: EventStore, database: Path, outbox: Path) -> FastAPI:
    """Return them as one application."""
    services = {
        "/customer-service": customer_service(store),
        "/order-service": order_service(store),
        "/order-history-service": order_history_service(store, database),
        "/notification-service": notification_service(store, outbox),
    }

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in services.values():
                await stack.enter_async_context(each.router.lifespan_context(each))
            yield

    app = FastAPI(title="Customers and orders", lifespan=lifespan)
    for path, each in services.items():
        app.mount(path, each)
    return app


def main(
    store: Store = "sqlite:shop.db",
    host: Host = "127.0.0.1",
    port: Port = 8090,
    database: Annotated[
        Path, typer.Option(envvar="ORDER_HISTORY", metavar="FILE", help="The SQLite view.")
    ] = Path("order-history.db"),
    outbox: Annotated[
        Path, typer.Option(envvar="OUTBOX", metavar="FOLDER", help="Where e-mails are put.")
    ] = Path("outbox"),
) -> None:
    """Serve all of Place Order in one process."""
    serve(
        "customers and orders",
        lambda opened: all_services(opened, database, outbox),
        store,
        host,
        port,
    )


if __name__ == "__main__":
    typer.run(main)
