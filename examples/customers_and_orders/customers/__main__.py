"""``python -m customers_and_orders.customers``: the customer service in a process of its own."""

import typer

from customers_and_orders.customers.service import customer_service
from customers_and_orders.serving import HERE, SERVER, Host, Port, Store, serve


def main(store: Store = SERVER, host: Host = HERE, port: Port = 8081) -> None:
    """Serve POST /customers and GET /customers/ID, and answer orders."""
    serve("customer service", {"": customer_service}, store, host, port)


if __name__ == "__main__":
    typer.run(main)
