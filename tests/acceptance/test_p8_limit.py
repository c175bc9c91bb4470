"""P8: several orders at once never reserve more than the limit, whoever is killed meanwhile.

Every service runs twice. ``tests/torture/test_place_order.py`` does this for minutes.
"""

import random
import threading
from collections.abc import Callable

import httpx
import pytest

from tests.acceptance.conftest import OpenShop
from tests.acceptance.shop import Shop
from tests.acceptance.shop_judge import ShopJudge
from tests.acceptance.waiting import wait_until


def _at_once(calls: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_p8_of_ten_at_once_as_many_are_approved_as_there_is_credit_for(shop: Shop) -> None:
    customer = shop.create_customer("100")
    _at_once([lambda: shop.place_order(customer, "30")] * 10)
    shop.settle()
    judge = ShopJudge()
    judge.read(shop.log())
    judge.check_at_rest()
    states = sorted(order.state for order in judge.orders.values() if order.customer_id == customer)
    assert states == ["APPROVED"] * 3 + ["REJECTED"] * 7
    judge.check_history(shop.customer_history(customer))


@pytest.mark.torture
def test_p8_with_every_service_twice_and_any_killed(open_shop: OpenShop) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    shop = open_shop(copies=2)
    customers = [shop.create_customer("100") for _ in range(2)]
    placed: list[str] = []
    stop = threading.Event()

    def order(number: int) -> None:
        taste = random.Random(f"{seed}/{number}")
        while not stop.is_set():
            try:
                placed.append(
                    shop.place_order(taste.choice(customers), str(taste.randint(1, 9)), copy=number)
                )
            except httpx.TransportError:
                stop.wait(0.05)  # that copy was killed: is its order stored or not?
            stop.wait(0.01)

    buyers = [threading.Thread(target=order, args=(number,)) for number in (0, 1)]
    for buyer in buyers:
        buyer.start()
    try:
        for name in ("customers", "orders", "order_history", "notifications", "customers"):
            goal = len(placed) + 8
            wait_until(lambda: len(placed) >= goal, "orders are placed")  # noqa: B023
            victim = chance.choice(shop.services[name])
            victim.kill()
            goal = len(placed) + 8
            wait_until(lambda: len(placed) >= goal, "orders are placed")  # noqa: B023
            victim.start()
        shop.server.restart()
        goal = len(placed) + 8
        wait_until(lambda: len(placed) >= goal, "orders are placed")
    finally:
        stop.set()
        for buyer in buyers:
            buyer.join(60)

    shop.settle(120)  # of a backlog that is as long as the machine was slow
    judge = ShopJudge()
    judge.read(shop.log())
    judge.check_at_rest()
    assert set(placed) <= judge.orders.keys(), f"seed {seed}"
    for customer in customers:
        assert sum(judge.customers[customer].reserved.values()) > 90, "the limit was reached"
        judge.check_history(shop.customer_history(customer))
    subjects = sorted(each["Subject"] for each in shop.emails)
    wanted = sorted(f"Your order {each} is approved" for each in judge.approved_ever())
    assert subjects == wanted, f"seed {seed}"
