"""F7: snapshots shorten loading; old events take the present shape; metadata travels along."""

import msgspec

from tests.acceptance.conftest import Copy
from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.shop import CUSTOMER, ORDER, Shop
from tests.acceptance.waiting import wait_until

_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_f7_a_load_begins_with_a_snapshot(shop: Shop, copy_of: Copy) -> None:
    customer = shop.create_customer("100")
    for _ in range(60):
        shop.place_order(customer, "1")
    shop.settle()
    events = shop.events_of(CUSTOMER, customer)
    assert len(events) == 61

    def found() -> dict[str, list[object]]:
        with Rest(shop.server.url) as rest:
            answer: dict[str, list[object]] = rest.http.get(rest.path(CUSTOMER, customer)).json()
            return answer

    # It is taken beside the updates, not by one of them.
    wait_until(lambda: "snapshot" in found(), "a snapshot is there")
    assert len(found()["events"]) <= 11, "no more than what came after it is read"
    # Who has it from the snapshot knows the same as who has it from its own updates.
    answer = shop.http.get(f"{copy_of('customers').url}/customers/{customer}").json()
    assert answer["availableCredit"] == "40.00"
    assert shop.customer(customer).available_credit == 40


def test_f7_an_event_of_an_older_shape_is_read_by_all(shop: Shop) -> None:
    customer = shop.create_customer("100")
    # As the first version of the order service stored it: the field was named otherwise.
    data = msgspec.json.encode({"customer_id": customer, "total": "12.34"}).decode()
    with Rest(shop.server.url) as rest:
        order = rest.create(ORDER, [Event("OrderCreated", data)]).entity_id
    shop.wait_for_state(order, "APPROVED")
    shop.settle()
    assert str(shop.order(order).order_total) == "12.34"
    assert str(shop.customer(customer).available_credit) == "87.66"
    assert str(shop.order_history(order).order_total) == "12.34"


def test_f7_who_and_why_and_the_trace_travel_with_what_follows(shop: Shop) -> None:
    customer = shop.create_customer("100")
    answer = shop.http.post(
        f"{shop.url('orders')}/orders",
        json={"customerId": customer, "orderTotal": 1},
        headers={"x-actor": "ada@example.com", "traceparent": _TRACE, "tracestate": "shop=1"},
    )
    order = answer.json()["orderId"]
    shop.settle()
    created, approved = shop.events_of(ORDER, order)
    _, reserved = shop.events_of(CUSTOMER, customer)
    for event in (created, reserved, approved):
        carried = msgspec.json.decode(event.metadata)
        assert carried["actor"] == "ada@example.com"
        assert carried["traceparent"] == _TRACE
        assert carried["tracestate"] == "shop=1"
    # Why: all belong to what the first of them began.
    for event in (reserved, approved):
        assert msgspec.json.decode(event.metadata)["correlationId"] == created.id
