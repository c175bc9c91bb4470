"""``python -m customers_and_orders.order_history``: that service in a process of its own."""

import typer

from customers_and_orders.order_history.service import history_service
from customers_and_orders.order_history.storage import DEFAULT, open_storage
from customers_and_orders.serving import (
    HERE,
    SERVER,
    Database,
    Host,
    MongoDb,
    Port,
    Store,
    opening,
    serve,
)

_NAME = "order history service"


def main(
    store: Store = SERVER,
    host: Host = HERE,
    port: Port = 8083,
    database: Database = DEFAULT,
    mongodb: MongoDb = None,
) -> None:
    """Serve GET /customers/ID (with recent orders) and GET /orders/ID from a view of its own."""
    with opening(_NAME):
        service = history_service(open_storage(mongodb, database))
    serve(_NAME, {"": service}, store, host, port)


if __name__ == "__main__":
    typer.run(main)
