"""The events as they are stored: these shapes are what services of different ages agree on."""

import json
from decimal import Decimal

import pytest

from customers_and_orders.events import customers, orders
from eventuary import Event
from eventuary.framework.event_codec import EventCodec
from eventuary.framework.metadata import Metadata

_STORED: list[tuple[Event, str, str, str]] = [
    (
        customers.CustomerCreated("Ada", Decimal("100.00")),
        "customers.Customer",
        "CustomerCreated",
        '{"name":"Ada","credit_limit":"100.00"}',
    ),
    (
        customers.CreditReserved("order-1", Decimal("1.50")),
        "customers.Customer",
        "CreditReserved",
        '{"order_id":"order-1","amount":"1.50"}',
    ),
    (
        customers.CreditLimitExceeded("order-1", Decimal("1.50")),
        "customers.Customer",
        "CreditLimitExceeded",
        '{"order_id":"order-1","amount":"1.50"}',
    ),
    (
        customers.CreditReleased("order-1", Decimal("1.50")),
        "customers.Customer",
        "CreditReleased",
        '{"order_id":"order-1","amount":"1.50"}',
    ),
    (
        customers.CustomerUnknown("nobody"),
        "customers.CreditCheck",
        "CustomerUnknown",
        '{"customer_id":"nobody"}',
    ),
    (
        orders.OrderCreated("ada", Decimal("1.50")),
        "orders.Order",
        "OrderCreated",
        '{"customer_id":"ada","order_total":"1.50"}',
    ),
    (
        orders.OrderApproved("ada", Decimal("1.50")),
        "orders.Order",
        "OrderApproved",
        '{"customer_id":"ada","order_total":"1.50"}',
    ),
    (
        orders.OrderRejected("ada", orders.RejectionReason.UNKNOWN_CUSTOMER),
        "orders.Order",
        "OrderRejected",
        '{"customer_id":"ada","reason":"UNKNOWN_CUSTOMER"}',
    ),
    (
        orders.OrderCancelled("ada"),
        "orders.Order",
        "OrderCancelled",
        '{"customer_id":"ada"}',
    ),
]


@pytest.mark.parametrize(
    ("event", "entity_type", "event_type", "data"),
    _STORED,
    ids=[each[2] for each in _STORED],
)
def test_an_event_is_stored_so_and_read_again(
    event: Event, entity_type: str, event_type: str, data: str
) -> None:
    codec = EventCodec([type(event)])
    [stored] = codec.encode([event], Metadata())
    assert (stored.event_type, json.loads(stored.event_data)) == (event_type, json.loads(data))
    assert codec.decode(entity_type, event_type, data, stored.metadata) == event


def test_an_order_of_the_first_version_is_read() -> None:
    codec = EventCodec([orders.OrderCreated])
    data = '{"customer_id":"ada","total":"1.50"}'
    read = codec.decode("orders.Order", "OrderCreated", data, None)
    assert read == orders.OrderCreated("ada", Decimal("1.50"))
