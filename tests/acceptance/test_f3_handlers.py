"""F3: an event handler updates aggregates, updates a view, or calls an outside system."""

from eventuary.tokens import event_token
from tests.acceptance.shop import CUSTOMER, ORDER, Shop


def test_f3_one_order_and_all_that_its_events_lead_to(shop: Shop) -> None:
    customer = shop.create_customer("100", "Ada")
    order = shop.place_order(customer, "99.99")
    shop.settle()

    # Aggregates, of the other service and then of this one again.
    created, approved = shop.events_of(ORDER, order)
    _, reserved = shop.events_of(CUSTOMER, customer)
    assert reserved.triggering_event_token == event_token("customer-service", created.id)
    assert approved.triggering_event_token == event_token("order-service", reserved.id)

    # A view.
    document = shop.customer_history(customer)
    assert document.name == "Ada"
    assert [(each.order_id, each.state) for each in document.orders] == [(order, "APPROVED")]

    # An outside system: whoever takes e-mails from the outbox.
    [email] = shop.emails_about(order)
    assert customer in email["To"]
    assert "99.99" in email.get_content()
    assert event_token("notification-service", approved.id) in email["Message-ID"]


def test_f3_nothing_is_sent_for_what_is_not_approved(shop: Shop) -> None:
    rejected = shop.place_order(shop.create_customer("1"), "2")
    nobodys = shop.place_order("nobody", "2")
    shop.settle()
    assert shop.emails_about(rejected) == []
    assert shop.emails_about(nobodys) == []
