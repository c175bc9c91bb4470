"""P9: cancelling releases credit; twice, or while approval is on its way, ends in one state."""

import threading

import httpx

from tests.acceptance.shop import CUSTOMER, ORDER, Shop
from tests.acceptance.shop_judge import ShopJudge
from tests.acceptance.waiting import wait_until


def test_p9_cancelling_an_approved_order_releases_its_credit(shop: Shop) -> None:
    customer = shop.create_customer("100")
    order = shop.place_order(customer, "70")
    shop.wait_for_state(order, "APPROVED")
    assert shop.cancel(order).state == "CANCELLED"
    shop.settle()

    _, reserved, released = shop.events_of(CUSTOMER, customer)
    assert (reserved.event_type, released.event_type) == ("CreditReserved", "CreditReleased")
    assert released.data == {"order_id": order, "amount": "70.00"}
    assert released.cause == shop.events_of(ORDER, order)[-1].id
    assert shop.customer(customer).available_credit == 100
    assert shop.customer_history(customer).credit_reserved == 0
    # It is there to be used.
    shop.wait_for_state(shop.place_order(customer, "100"), "APPROVED")


def test_p9_cancelling_twice_is_cancelling_once(shop: Shop) -> None:
    customer = shop.create_customer("100")
    order = shop.place_order(customer, "70")
    shop.wait_for_state(order, "APPROVED")
    threads = [threading.Thread(target=shop.cancel, args=(order,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shop.cancel(order).state == "CANCELLED"
    shop.settle()
    types = [each.event_type for each in shop.events_of(ORDER, order)]
    assert types == ["OrderCreated", "OrderApproved", "OrderCancelled"]
    types = [each.event_type for each in shop.events_of(CUSTOMER, customer)]
    assert types == ["CustomerCreated", "CreditReserved", "CreditReleased"]


def test_p9_cancelling_before_the_answer_leaves_nothing_held(shop: Shop) -> None:
    customer = shop.create_customer("100")
    shop.subscription("customers", "pause")
    try:
        order = shop.place_order(customer, "70")
        assert shop.cancel(order).state == "CANCELLED"
    finally:
        shop.subscription("customers", "resume")
    shop.settle()
    assert shop.order(order).state == "CANCELLED"
    assert [each.event_type for each in shop.events_of(CUSTOMER, customer)] == [
        "CustomerCreated",
        "CreditReserved",
        "CreditReleased",
    ]
    assert shop.emails_about(order) == []


def test_p9_cancelling_while_the_approval_is_on_its_way(shop: Shop) -> None:
    customer = shop.create_customer("100")
    shop.subscription("orders", "pause")
    try:
        order = shop.place_order(customer, "70")
        # The credit is held; the order service has not heard of it.
        wait_until(lambda: shop.customer(customer).available_credit == 30, "credit is held")
        assert shop.cancel(order).state == "CANCELLED"
    finally:
        shop.subscription("orders", "resume")
    shop.settle()
    assert shop.order(order).state == "CANCELLED"
    assert shop.customer(customer).available_credit == 100
    types = [each.event_type for each in shop.events_of(ORDER, order)]
    assert types == ["OrderCreated", "OrderCancelled"]


def test_p9_at_whatever_moment_many_are_cancelled(shop: Shop) -> None:
    customer = shop.create_customer("1000")
    orders: list[str] = []

    def place_and_cancel(number: int) -> None:
        for turn in range(6):
            order = shop.place_order(customer, "30")
            orders.append(order)
            if (number + turn) % 3 == 0:
                shop.wait_for_state(order, "APPROVED")
            shop.cancel(order)
            shop.cancel(order)

    threads = [threading.Thread(target=place_and_cancel, args=(each,)) for each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shop.settle()
    assert len(orders) == 36
    assert {shop.order(order).state for order in orders} == {"CANCELLED"}
    judge = ShopJudge()
    judge.read(shop.log())
    judge.check_at_rest()
    assert judge.customers[customer].reserved == {}
    judge.check_history(shop.customer_history(customer))


def test_p9_a_rejected_order_can_not_be_cancelled(shop: Shop) -> None:
    order = shop.place_order(shop.create_customer("10"), "70")
    shop.wait_for_state(order, "REJECTED")
    answer = shop.http.post(f"{shop.url('orders')}/orders/{order}/cancel")
    assert answer.status_code == httpx.codes.CONFLICT
    assert order in answer.text
    assert "CREDIT_LIMIT_EXCEEDED" in answer.text
    assert shop.order(order).state == "REJECTED"
