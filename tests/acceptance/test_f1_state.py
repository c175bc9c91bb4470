"""F1: an aggregate's state is rebuilt from its events alone, by whoever has them."""

import msgspec

from tests.acceptance.conftest import Copy
from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.shop import CUSTOMER, ORDER, Shop


def test_f1_a_process_that_never_saw_them_knows_the_same(shop: Shop, copy_of: Copy) -> None:
    customer = shop.create_customer("100")
    approved, cancelled = shop.place_order(customer, "60"), shop.place_order(customer, "30")
    shop.wait_for_state(cancelled, "APPROVED")
    shop.cancel(cancelled)
    shop.settle()

    orders, customers = copy_of("orders"), copy_of("customers")
    for order in (approved, cancelled):
        answer = shop.http.get(f"{orders.url}/orders/{order}")
        assert msgspec.json.decode(answer.content) == msgspec.to_builtins(
            shop.order(order), str_keys=True
        )
    answer = shop.http.get(f"{customers.url}/customers/{customer}").json()
    assert answer["availableCredit"] == "40.00"


def test_f1_what_is_stored_is_what_is(shop: Shop) -> None:
    # An event that no service has emitted, by a client that knows REST alone.
    order = shop.place_order(shop.create_customer("100"), "60")
    shop.wait_for_state(order, "APPROVED")
    with Rest(shop.server.url) as rest:
        version = rest.find(ORDER, order)[-1].id
        data = msgspec.json.encode({"customer_id": shop.order(order).customer_id}).decode()
        rest.update(ORDER, order, version, [Event("OrderCancelled", data)])
    assert shop.order(order).state == "CANCELLED"


def test_f1_commands_emit_and_events_are_all_that_is_kept(shop: Shop) -> None:
    customer = shop.create_customer("100", "Ada")
    with Rest(shop.server.url) as rest:
        [created] = rest.find(CUSTOMER, customer)
    assert created.event_type == "CustomerCreated"
    assert msgspec.json.decode(created.event_data) == {"name": "Ada", "credit_limit": "100.00"}
    # The services that decide have nothing of their own on disk but what they complain of.
    for name in ("customers", "orders"):
        for each in shop.services[name]:
            assert [file.suffix for file in each.directory.iterdir()] == [".log"]
