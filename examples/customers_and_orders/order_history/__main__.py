"""``python -m customers_and_orders.order_history``: that service in a process of its own."""

from pathlib import Path

import typer

from customers_and_orders.order_history.service import history_service
from customers_and_orders.serving import HERE, SERVER, Database, Host, Port, Store, serve


def main(
    store: Store = SERVER,
    host: Host = HERE,
    port: Port = 8083,
    database: Database = Path("order-history.db"),
) -> None:
    """Serve GET /customers/ID (with recent orders) and GET /orders/ID from a view of its own."""
    serve("order history service", {"": history_service(database)}, store, host, port)


if __name__ == "__main__":
    typer.run(main)
