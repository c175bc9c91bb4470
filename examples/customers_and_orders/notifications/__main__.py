"""``python -m customers_and_orders.notifications``: that service in a process of its own."""

import typer

from customers_and_orders.notifications.confirmation import SENDER
from customers_and_orders.notifications.service import notification_service
from customers_and_orders.serving import (
    HERE,
    SERVER,
    Host,
    MailerUrl,
    Port,
    Sender,
    Store,
    opening,
    serve,
)
from eventuary.integrations.email import open_mailer

_NAME = "notification service"


def main(
    store: Store = SERVER,
    host: Host = HERE,
    port: Port = 8084,
    mailer: MailerUrl = "outbox:outbox",
    sender: Sender = SENDER,
) -> None:
    """Send an e-mail for each approved order. It has no API but /health."""
    with opening(_NAME):
        service = notification_service(open_mailer(mailer), sender)
    serve(_NAME, {"": service}, store, host, port)


if __name__ == "__main__":
    typer.run(main)
