"""P7: an order for a customer that does not exist is rejected, and nothing is tried for ever."""

from tests.acceptance.shop import CREDIT_CHECK, ORDER, Shop


def test_p7_an_order_for_nobody_is_rejected(shop: Shop) -> None:
    order = shop.place_order("nobody", "10")
    rejected = shop.wait_for_state(order, "REJECTED")
    assert rejected.rejection_reason == "UNKNOWN_CUSTOMER"

    shop.settle()
    [unknown] = shop.events_of(CREDIT_CHECK, order)
    created, rejection = shop.events_of(ORDER, order)
    assert unknown.data == {"customer_id": "nobody"}
    assert (unknown.cause, rejection.cause) == (created.id, unknown.id)
    assert shop.order_history(order).state == "REJECTED"
    for name in ("customers", "orders"):
        assert shop.subscription(name).dead_letters == 0
        assert shop.services[name][0].log == "", "nothing failed on the way"


def test_p7_it_is_so_however_often_it_is_delivered(shop: Shop) -> None:
    order = shop.place_order("nobody else", "10")
    shop.settle()
    before = shop.log()
    shop.subscription("customers", "reset", to="beginning")
    shop.subscription("orders", "reset", to="beginning")
    shop.settle()
    assert shop.log() == before
    assert shop.order(order).state == "REJECTED"


def test_p7_those_who_come_after_it_are_served(shop: Shop) -> None:
    customer = shop.create_customer("100")
    orders = [
        shop.place_order(customer if number % 2 else f"nobody {number}", "1")
        for number in range(20)
    ]
    shop.settle()
    states = [shop.order(order).state for order in orders]
    assert states == ["REJECTED", "APPROVED"] * 10
