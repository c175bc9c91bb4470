"""P10: a customer's document shows each order in its final state; a query is one read of it."""

import sqlite3

from tests.acceptance.shop import CUSTOMER, ORDER, Shop
from tests.acceptance.shop_judge import ShopJudge
from tests.acceptance.waiting import wait_until


def test_p10_the_document_has_details_and_orders_in_their_final_state(shop: Shop) -> None:
    customer = shop.create_customer("100.50", "Grace Hopper")
    approved = shop.place_order(customer, "60.25")
    shop.wait_for_state(approved, "APPROVED")
    rejected = shop.place_order(customer, "60")
    shop.wait_for_state(rejected, "REJECTED")
    cancelled = shop.place_order(customer, "40")
    shop.wait_for_state(cancelled, "APPROVED")
    shop.cancel(cancelled)
    shop.settle()

    raw = shop.http.get(f"{shop.url('order_history')}/customers/{customer}").json()
    lines = raw.pop("orders")
    assert raw == {
        "customerId": customer,
        "name": "Grace Hopper",
        "creditLimit": "100.50",
        "creditReserved": "60.25",
    }
    assert [(each["orderId"], each["orderTotal"], each["state"]) for each in lines] == [
        (cancelled, "40.00", "CANCELLED"),
        (rejected, "60.00", "REJECTED"),
        (approved, "60.25", "APPROVED"),
    ]
    assert [each.get("rejectionReason") for each in lines] == [None, "CREDIT_LIMIT_EXCEEDED", None]
    for line in lines:
        assert shop.http.get(f"{shop.url('order_history')}/orders/{line['orderId']}").json() == line


def test_p10_an_order_in_progress_is_shown_as_such(shop: Shop) -> None:
    customer = shop.create_customer("100")
    shop.settle()
    shop.subscription("customers", "pause")
    try:
        order = shop.place_order(customer, "1")
        wait_until(lambda: bool(shop.customer_history(customer).orders), "the order is shown")
        assert shop.order_history(order).state == "CREATED"
    finally:
        shop.subscription("customers", "resume")
    shop.settle()
    assert shop.order_history(order).state == "APPROVED"


def test_p10_all_documents_are_a_fold_of_the_log(shop: Shop) -> None:
    shop.settle()
    judge = ShopJudge()
    judge.read(shop.log(CUSTOMER, ORDER, "customers.CreditCheck"))
    assert judge.customers
    for customer in judge.customers:
        judge.check_history(shop.customer_history(customer))
    for order in judge.orders.values():
        judge.check_order(shop.order_history(order.order_id), order)


def test_p10_a_query_reads_one_row(shop: Shop) -> None:
    customer = shop.create_customer("100")
    for _ in range(3):
        shop.place_order(customer, "10")
    shop.settle()
    answered = shop.http.get(f"{shop.url('order_history')}/customers/{customer}").text
    with sqlite3.connect(f"file:{shop.directory / 'order-history.db'}?mode=ro", uri=True) as view:
        [(document,)] = view.execute(
            'SELECT document FROM "order-history_customers_1" WHERE document_key = ?', (customer,)
        ).fetchall()
    assert document == answered
