"""``python -m customers_and_orders``: all four services in one process, each under its own path.

The same services, over a store that is in this process too, unless ``--store`` says otherwise.
"""

import typer

from customers_and_orders.customers.service import customer_service
from customers_and_orders.notifications.confirmation import SENDER
from customers_and_orders.notifications.service import notification_service
from customers_and_orders.order_history.service import history_service
from customers_and_orders.order_history.storage import DEFAULT, open_storage
from customers_and_orders.orders.service import order_service
from customers_and_orders.serving import (
    HERE,
    Database,
    Host,
    MailerUrl,
    MongoDb,
    Port,
    Sender,
    Store,
    opening,
    serve,
)
from eventuary.integrations.email import open_mailer

_NAME = "customers and orders"


def main(
    store: Store = "sqlite:shop.db",
    host: Host = HERE,
    port: Port = 8090,
    database: Database = DEFAULT,
    mongodb: MongoDb = None,
    mailer: MailerUrl = "outbox:outbox",
    sender: Sender = SENDER,
) -> None:
    """Serve all of Place Order in one process."""
    with opening(_NAME):
        storage = open_storage(mongodb, database)
        notifications = notification_service(open_mailer(mailer), sender)
    services = {
        "/customer-service": customer_service,
        "/order-service": order_service,
        "/order-history-service": history_service(storage),
        "/notification-service": notifications,
    }
    serve(_NAME, services, store, host, port)


if __name__ == "__main__":
    typer.run(main)
