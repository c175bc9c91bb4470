"""P1 to P6: Place Order, step by step, as its log and its services show it."""

import httpx
import pytest

from eventuary.tokens import event_token
from tests.acceptance.shop import CUSTOMER, ORDER, Logged, OrderShown, Shop, decoded
from tests.acceptance.waiting import wait_until


def _after(shop: Shop, event: Logged) -> list[Logged]:
    """Return what an event triggered."""
    return [each for each in shop.log() if each.cause == event.id]


def test_p1_an_order_is_stored_and_answered_at_once(shop: Shop) -> None:
    customer = shop.create_customer("100.00")
    # While the customer service hears nothing, what the answer says can't have waited for it.
    shop.subscription("customers", "pause")
    try:
        answer = shop.http.post(
            f"{shop.url('orders')}/orders", json={"customerId": customer, "orderTotal": "12.34"}
        )
        order = decoded(answer, OrderShown, 201)
        assert order.state == "CREATED"
        assert shop.order(order.order_id) == order
        [created] = shop.events_of(ORDER, order.order_id)
        assert created.event_type == "OrderCreated"
        assert created.data == {"customer_id": customer, "order_total": "12.34"}
    finally:
        shop.subscription("customers", "resume")
    shop.wait_for_state(order.order_id, "APPROVED")


def test_p2_the_store_tells_the_customer_service(shop: Shop) -> None:
    order = shop.place_order(shop.create_customer("100"), "10")
    shop.wait_for_state(order, "APPROVED")
    created = shop.events_of(ORDER, order)[0]
    # The token names the subscriber to which the event was delivered.
    tokens = {each.triggering_event_token for each in _after(shop, created)}
    assert tokens == {event_token("customer-service", created.id)}


def test_p3_the_customer_is_what_its_events_made_it(shop: Shop) -> None:
    customer = shop.create_customer("100")
    orders = [shop.place_order(customer, "40") for _ in range(2)]
    for order in orders:
        shop.wait_for_state(order, "APPROVED")
    # Only a customer with both reservations in its state refuses this one.
    third = shop.place_order(customer, "20.01")
    assert shop.wait_for_state(third, "REJECTED").rejection_reason == "CREDIT_LIMIT_EXCEEDED"
    assert shop.customer(customer).available_credit == 20


@pytest.mark.parametrize(
    ("total", "event_type"), [("60.00", "CreditReserved"), ("60.01", "CreditLimitExceeded")]
)
def test_p4_the_customer_checks_its_credit(shop: Shop, total: str, event_type: str) -> None:
    customer = shop.create_customer("60.00")
    order = shop.place_order(customer, total)
    shop.settle()
    created, answer = shop.events_of(CUSTOMER, customer)
    assert created.event_type == "CustomerCreated"
    assert answer.event_type == event_type
    assert answer.data == {"order_id": order, "amount": total}


def test_p5_what_the_customer_emits_is_stored_and_told(shop: Shop) -> None:
    customer = shop.create_customer("100")
    order = shop.place_order(customer, "10")
    shop.wait_for_state(order, "APPROVED")
    created, approved = shop.events_of(ORDER, order)
    _, reserved = shop.events_of(CUSTOMER, customer)
    assert reserved.cause == created.id
    assert approved.cause == reserved.id
    assert created.position < reserved.position < approved.position


@pytest.mark.parametrize(("total", "state"), [("5", "APPROVED"), ("500", "REJECTED")])
def test_p6_the_order_is_decided(shop: Shop, total: str, state: str) -> None:
    order = shop.place_order(shop.create_customer("10"), total)
    shop.settle()
    assert shop.order(order).state == state
    types = [each.event_type for each in shop.events_of(ORDER, order)]
    assert types == ["OrderCreated", f"Order{state.capitalize()}"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"customerId": "x", "orderTotal": "-1"}, "orderTotal"),
        ({"customerId": "x", "orderTotal": "0.00"}, "orderTotal"),
        ({"customerId": "x", "orderTotal": "1.001"}, "orderTotal"),
        ({"customerId": "x", "orderTotal": "1e99"}, "orderTotal"),
        ({"customerId": "x", "orderTotal": "a lot"}, "orderTotal"),
        ({"customerId": "x"}, "orderTotal"),
        ({"customerId": "a/b", "orderTotal": 1}, "customerId"),
        ({"customerId": "", "orderTotal": 1}, "customerId"),
        ({"customerId": "x" * 256, "orderTotal": 1}, "customerId"),
        ({"orderTotal": 1}, "customerId"),
    ],
)
def test_bad_orders_are_refused_by_the_name_of_the_field(
    shop: Shop, body: dict[str, object], field: str
) -> None:
    answer = shop.http.post(f"{shop.url('orders')}/orders", json=body)
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert [each["loc"] for each in answer.json()["detail"]] == [["body", field]]


@pytest.mark.parametrize("total", ["NaN", "1e400", "-Infinity"])
def test_numbers_that_are_none_are_refused_too(shop: Shop, total: str) -> None:
    answer = shop.http.post(
        f"{shop.url('orders')}/orders",
        content=f'{{"customerId": "x", "orderTotal": {total}}}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.json()["detail"][0]["loc"] == ["body", "orderTotal"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": " ", "creditLimit": 1}, "name"),
        ({"name": "n" * 201, "creditLimit": 1}, "name"),
        ({"creditLimit": 1}, "name"),
        ({"name": "Ada", "creditLimit": -1}, "creditLimit"),
        ({"name": "Ada"}, "creditLimit"),
    ],
)
def test_bad_customers_are_refused_by_the_name_of_the_field(
    shop: Shop, body: dict[str, object], field: str
) -> None:
    answer = shop.http.post(f"{shop.url('customers')}/customers", json=body)
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert [each["loc"] for each in answer.json()["detail"]] == [["body", field]]


def test_amounts_come_as_numbers_or_strings_and_go_as_strings(shop: Shop) -> None:
    for amount in (12, 12.0, "12", "12.00", 12.00):
        customer = shop.create_customer(amount)
        raw = shop.http.get(f"{shop.url('customers')}/customers/{customer}").json()
        assert raw["creditLimit"] == "12.00"


def test_what_is_not_there_is_said_so(shop: Shop) -> None:
    for name, path in (
        ("orders", "orders/nobody"),
        ("customers", "customers/nobody"),
        ("order_history", "orders/nobody"),
        ("order_history", "customers/nobody"),
    ):
        answer = shop.http.get(f"{shop.url(name)}/{path}")
        assert answer.status_code == httpx.codes.NOT_FOUND
        assert "nobody" in answer.text


def _is_ready(shop: Shop, url: str) -> bool:
    answer = shop.http.get(f"{url}/health/ready")
    return answer.status_code == httpx.codes.OK and answer.json() == {"status": "ready"}


def test_each_service_says_that_it_works(shop: Shop) -> None:
    for each in shop.all_services:
        wait_until(lambda: _is_ready(shop, each.url), f"{each.url} is ready")  # noqa: B023
