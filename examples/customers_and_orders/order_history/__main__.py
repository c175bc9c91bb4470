"""``python -m customers_and_orders.order_history``: that service in a process of its own."""

from pathlib import Path
from typing import Annotated

import typer

from customers_and_orders.order_history.service import order_history_service
from customers_and_orders.serving import Host, Port, Store, serve


def main(
    store: Store = "http://127.0.0.1:8080",
    host: Host = "127.0.0.1",
    port: Port = 8083,
    database: Annotated[
        Path, typer.Option(envvar="ORDER_HISTORY", metavar="FILE", help="The SQLite file.")
    ] = Path("order-history.db"),
) -> None:
    """Serve GET /customers/ID (with recent orders) and GET /orders/ID from a view of its own."""
    serve(
        "order history service",
        lambda opened: order_history_service(opened, database),
        store,
        host,
        port,
    )


if __name__ == "__main__":
    typer.run(main)
