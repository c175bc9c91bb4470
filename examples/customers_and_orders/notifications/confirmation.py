"""The e-mail that confirms an order: the same text whenever it is made for the same event."""

from datetime import datetime
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage

#: Who they are from unless told otherwise.
SENDER = "Customers and Orders <orders@shop.example>"

#: Where customers' mailboxes are: this example asks nobody for an address.
_CUSTOMERS = "customers.example"


def confirmation(
    sender: str,
    customer_id: str,
    order_id: str,
    order_total: Decimal,
    approved_at: datetime,
    token: str,
) -> EmailMessage:
    """Return the e-mail, from ``sender``: an address, with a name or without."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = Address(username=customer_id, domain=_CUSTOMERS)
    message["Subject"] = f"Your order {order_id} is approved"
    message["Date"] = approved_at
    message["Message-ID"] = f"<{token}@shop.example>"
    message.set_content(
        f"Thank you for your order\n\n    {order_id}\n\nover {order_total:.2f}. It is approved.\n"
    )
    return message
