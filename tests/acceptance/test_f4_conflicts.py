"""F4: a conflicting update is decided again on fresh state; one for nothing appends nothing."""

import re
import threading

import httpx

from tests.acceptance.conftest import Copy
from tests.acceptance.shop import CUSTOMER, ORDER, Shop


def _conflicts(shop: Shop) -> int:
    """Return how many appends the server has refused as they were decided on an old state."""
    text = shop.http.get(f"{shop.server.url}/metrics").text
    match = re.search(r"^eventuary_append_conflicts_total (\S+)$", text, re.MULTILINE)
    assert match is not None
    return int(float(match[1]))


def test_f4_of_conflicting_updates_each_is_decided_on_the_state_that_it_changes(
    shop: Shop, copy_of: Copy
) -> None:
    copy_of("customers")  # two processes, each with a cache of its own, reserve at once
    customer = shop.create_customer("1000")
    before = _conflicts(shop)
    placed = 0
    while _conflicts(shop) == before:
        threads = [
            threading.Thread(target=shop.place_order, args=(customer, "1")) for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        placed += len(threads)
        shop.settle()
        assert placed < 800, "no two updates ever met"
    assert shop.customer(customer).available_credit == 1000 - placed
    types = [each.event_type for each in shop.events_of(CUSTOMER, customer)]
    assert types == ["CustomerCreated"] + ["CreditReserved"] * placed


def test_f4_of_many_who_cancel_one_appends(shop: Shop, copy_of: Copy) -> None:
    other = copy_of("orders")
    order = shop.place_order(shop.create_customer("100"), "1")
    shop.wait_for_state(order, "APPROVED")
    answers: list[httpx.Response] = []

    def cancel(url: str) -> None:
        answers.append(shop.http.post(f"{url}/orders/{order}/cancel"))

    urls = [shop.url("orders"), other.url] * 8
    threads = [threading.Thread(target=cancel, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(each.status_code, each.json()["state"]) for each in answers} == {(200, "CANCELLED")}
    types = [each.event_type for each in shop.events_of(ORDER, order)]
    assert types == ["OrderCreated", "OrderApproved", "OrderCancelled"]


def test_f4_a_command_that_emits_nothing_appends_nothing(shop: Shop) -> None:
    order = shop.place_order(shop.create_customer("100"), "1")
    shop.wait_for_state(order, "APPROVED")
    shop.cancel(order)
    shop.settle()
    before = shop.log()
    assert shop.cancel(order).state == "CANCELLED"
    assert shop.log() == before
