"""``python -m customers_and_orders.orders``: the order service in a process of its own."""

import typer

from customers_and_orders.orders.service import order_service
from customers_and_orders.serving import HERE, SERVER, Host, Port, Store, serve


def main(store: Store = SERVER, host: Host = HERE, port: Port = 8082) -> None:
    """Serve POST /orders, GET /orders/ID and POST /orders/ID/cancel, and decide orders."""
    serve("order service", {"": order_service}, store, host, port)


if __name__ == "__main__":
    typer.run(main)
