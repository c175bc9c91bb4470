"""The e-mail that confirms an order: always the same text for the same event."""

from datetime import UTC, datetime
from decimal import Decimal
from email.message import EmailMessage

from customers_and_orders.notifications.confirmation import SENDER, confirmation

_TOKEN = "00000192f0a1b2c3-5f3c9a7e12d40001.bm90aWZpY2F0aW9ucw"


def _email(customer_id: str = "ada") -> EmailMessage:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    return confirmation(SENDER, customer_id, "order-1", Decimal("12.3"), noon, _TOKEN)


def test_an_email_says_what_is_approved() -> None:
    email = _email()
    assert email["From"] == "Customers and Orders <orders@shop.example>"
    assert email["To"] == "ada@customers.example"
    assert email["Subject"] == "Your order order-1 is approved"
    assert _TOKEN in email["Message-ID"]
    assert email["Date"].datetime == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert "12.30" in email.get_content()


def test_the_same_event_makes_the_same_email() -> None:
    assert _email().as_bytes() == _email().as_bytes()


def test_a_customer_id_can_not_smuggle_an_address() -> None:
    [address] = _email("a, b@evil.example")["To"].addresses
    assert (address.username, address.domain) == ("a, b@evil.example", "customers.example")
