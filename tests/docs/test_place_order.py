"""Place Order by hand: five processes in terminals of their own, and what they answer."""

from customers_and_orders.customers.handlers import subscriber as customers
from customers_and_orders.notifications.handlers import notification_subscriber
from customers_and_orders.order_history.history import order_history
from customers_and_orders.orders.handlers import subscriber as orders
from eventuary.integrations.email.outbox import Outbox
from eventuary.views.sql import SqlDocuments
from tests.docs.page import ROOT, table_under
from tests.docs.reader import Reader


def test_place_order_by_hand(reader: Reader) -> None:
    reader.read("docs/place-order.md")
    reader.finish()


def test_the_table_of_events_is_what_the_services_are_told() -> None:
    rows = table_under(ROOT / "docs/place-order.md", "Who does what because of what")
    shown = {(event.strip("`"), told) for event, _, told, _ in rows if told}
    subscribers = {
        "customer service": customers,
        "order service": orders,
        "notification service": notification_subscriber(Outbox(ROOT)),
    }
    told = {
        (event.__event__.type.event_type, name)
        for name, subscriber in subscribers.items()
        for event in subscriber.handlers
    }
    assert shown == told
    history = {
        event.__event__.type.event_type
        for event in order_history(SqlDocuments("sqlite:///none.db")).view.declaration.updates
    }
    assert history == {
        "CustomerCreated",
        "CreditReserved",
        "CreditReleased",
        "OrderCreated",
        "OrderApproved",
        "OrderRejected",
        "OrderCancelled",
    }
