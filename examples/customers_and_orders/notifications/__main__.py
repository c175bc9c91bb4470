"""``python -m customers_and_orders.notifications``: that service in a process of its own."""

from pathlib import Path
from typing import Annotated

import typer

from customers_and_orders.notifications.service import notification_service
from customers_and_orders.serving import Host, Port, Store, serve


def main(
    store: Store = "http://127.0.0.1:8080",
    host: Host = "127.0.0.1",
    port: Port = 8084,
    outbox: Annotated[
        Path, typer.Option(envvar="OUTBOX", metavar="FOLDER", help="Where e-mails are put.")
    ] = Path("outbox"),
) -> None:
    """Write an e-mail for each approved order. It has no API but GET /health."""
    serve(
        "notification service",
        lambda opened: notification_service(opened, outbox),
        store,
        host,
        port,
    )


if __name__ == "__main__":
    typer.run(main)
