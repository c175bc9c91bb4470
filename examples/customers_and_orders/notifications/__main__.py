"""``python -m customers_and_orders.notifications``: that service in a process of its own."""

from pathlib import Path

import typer

from customers_and_orders.notifications.service import notification_service
from customers_and_orders.serving import HERE, SERVER, Host, Outbox, Port, Store, serve


def main(
    store: Store = SERVER,
    host: Host = HERE,
    port: Port = 8084,
    outbox: Outbox = Path("outbox"),
) -> None:
    """Write an e-mail for each approved order. It has no API but /health."""
    serve("notification service", {"": notification_service(outbox)}, store, host, port)


if __name__ == "__main__":
    typer.run(main)
