"""What happens to customers, and to the orders of customers that there are not."""

from decimal import Decimal

from eventuary import Event


class CustomerEvent(Event, entity="customers.Customer"):
    """Something happened to a customer."""


class CustomerCreated(CustomerEvent):
    """There is a customer, who may owe so much."""

    name: str
    credit_limit: Decimal


class CreditReserved(CustomerEvent):
    """A part of the credit is held for an order."""

    order_id: str
    amount: Decimal


class CreditLimitExceeded(CustomerEvent):
    """The credit that was left did not suffice for an order."""

    order_id: str
    amount: Decimal


class CreditReleased(CustomerEvent):
    """What was held for an order is free again."""

    order_id: str
    amount: Decimal


class CreditCheckEvent(Event, entity="customers.CreditCheck"):
    """Something happened to the check of an order whose id the check has."""


class CustomerUnknown(CreditCheckEvent):
    """The order names a customer that there is not."""

    customer_id: str
