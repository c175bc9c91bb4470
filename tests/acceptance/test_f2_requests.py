"""F2: a service that is called from outside creates and updates aggregates."""

import httpx

from tests.acceptance.rest_client import Rest
from tests.acceptance.shop import CUSTOMER, ORDER, Shop


def test_f2_a_request_creates_an_aggregate(shop: Shop) -> None:
    customer = shop.create_customer("12.50")
    order = shop.place_order(customer, "3.75")
    with Rest(shop.server.url) as rest:
        assert rest.find(CUSTOMER, customer)[0].event_type == "CustomerCreated"
        assert rest.find(ORDER, order)[0].event_type == "OrderCreated"
    assert shop.order(order).order_total == 3.75


def test_f2_a_request_updates_an_aggregate(shop: Shop) -> None:
    order = shop.place_order(shop.create_customer("10"), "5")
    shop.wait_for_state(order, "APPROVED")
    answered = shop.cancel(order)
    cancelled = shop.events_of(ORDER, order)[-1]
    assert (answered.state, cancelled.event_type) == ("CANCELLED", "OrderCancelled")
    assert cancelled.triggering_event_token is None, "a request is no event"


def test_f2_what_is_refused_stores_nothing(shop: Shop) -> None:
    shop.settle()
    before = shop.log()
    answer = shop.http.post(f"{shop.url('orders')}/orders/nobody/cancel")
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert answer.json()["error"] == "not_found"
    assert "nobody" in answer.json()["explanation"]
    answer = shop.http.post(f"{shop.url('customers')}/customers", json={"name": "Ada"})
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert shop.log() == before
