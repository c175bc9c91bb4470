"""``python -m customers_and_orders``: all four services in one process, each under its own path.

The same services, over a store that is in this process too, unless ``--store`` says otherwise.
"""

from pathlib import Path

import typer

from customers_and_orders.customers.service import customer_service
from customers_and_orders.notifications.service import notification_service
from customers_and_orders.order_history.service import history_service
from customers_and_orders.order_history.storage import DEFAULT, open_storage
from customers_and_orders.orders.service import order_service
from customers_and_orders.serving import (
    HERE,
    Database,
    Host,
    MongoDb,
    Outbox,
    Port,
    Store,
    opening,
    serve,
)

_NAME = "customers and orders"


def main(
    store: Store = "sqlite:shop.db",
    host: Host = HERE,
    port: Port = 8090,
    database: Database = DEFAULT,
    mongodb: MongoDb = None,
    outbox: Outbox = Path("outbox"),
) -> None:
    """Serve all of Place Order in one process."""
    with opening(_NAME):
        storage = open_storage(mongodb, database)
    services = {
        "/customer-service": customer_service,
        "/order-service": order_service,
        "/order-history-service": history_service(storage),
        "/notification-service": notification_service(outbox),
    }
    serve(_NAME, services, store, host, port)


if __name__ == "__main__":
    typer.run(main)
