"""P8 and P9 for minutes: every service twice, any of them and the server killed at any moment.

Each prefix of the log keeps the laws of ``shop_judge``; when all has come to rest, what is held is
what is approved, the view is a fold of the log, and each approval has its one e-mail.
"""

import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.service_process import ServiceProcess
from tests.acceptance.shop import SUBSCRIBERS, Shop
from tests.acceptance.shop_judge import ShopJudge
from tests.torture.buyer import Buyer
from tests.torture.conftest import Begin, Start
from tests.torture.run import Run

pytestmark = pytest.mark.torture

_SECONDS = 240
_BUYERS = 4
_LIMITS = ("100", "100", "250", "1000")

#: Seconds within which, when nothing is broken any more, all has come to rest.
_PATIENCE = 90


def _break(shop: Shop, chance: random.Random) -> str:
    """Kill something, leave it dead for a while, start it again; return what it was."""
    if chance.random() < 0.2:
        shop.server.kill()
        time.sleep(chance.uniform(0, 1))
        shop.server.start()
        return "server"
    copies = shop.services[chance.choice(list(SUBSCRIBERS))]
    victims = copies if chance.random() < 0.25 else [chance.choice(copies)]
    for each in victims:
        assert each.process.poll() is None, f"{each.module} ended by itself:\n{each.log}"
        # Not all go without a farewell; those that do not must end well.
        if chance.random() < 0.2:
            assert each.end(signal.SIGTERM) == 0, each.log
        else:
            each.kill()
    time.sleep(chance.uniform(0, 1))
    for each in victims:
        _start(each, chance)
    return "service"


def _start(service: ServiceProcess, chance: random.Random) -> None:
    while chance.random() < 0.15:  # killed while it starts
        service.begin()
        time.sleep(chance.uniform(0, 1))
        service.kill()
    service.start()


def _judge_now(shop: Shop, judge: ShopJudge, buyers: Sequence[Buyer]) -> None:
    for buyer in buyers:
        if buyer.failure is not None:
            raise buyer.failure
    judge.read(shop.log(after=judge.position))


def _judge_at_rest(
    shop: Shop, judge: ShopJudge, buyers: Sequence[Buyer], chance: random.Random
) -> None:
    judge.check_at_rest()
    for buyer in buyers:
        assert set(buyer.placed) <= judge.orders.keys(), "what was answered is stored"
        assert set(buyer.cancelled) <= judge.of("CANCELLED"), "what was cancelled stays so"
    for customer in judge.customers:
        judge.check_history(shop.customer_history(customer))
        held = sum(judge.customers[customer].reserved.values())
        shown = shop.customer(customer)
        assert shown.available_credit == shown.credit_limit - held
    orders = list(judge.orders.values())
    for order in chance.sample(orders, min(300, len(orders))):
        judge.check_order(shop.order_history(order.order_id), order)
        assert shop.order(order.order_id).state == order.state
    subjects = sorted(each["Subject"] for each in shop.emails)
    assert subjects == sorted(f"Your order {each} is approved" for each in judge.approved_ever())
    for name in SUBSCRIBERS:
        assert shop.subscription(name).dead_letters == 0


def _score(judge: ShopJudge, buyers: Sequence[Buyer], kills: dict[str, int]) -> str:
    states = ", ".join(
        f"{len(judge.of(state))} {state.lower()}" for state in ("APPROVED", "REJECTED", "CANCELLED")
    )
    unanswered = sum(each.unanswered for each in buyers)
    return (
        f"{kills['server']} kills of the server, {kills['service']} of services; orders: "
        f"{len(judge.orders)}, {states}; {unanswered} calls without an answer"
    )


def test_place_order(start: Start, begin: Begin, tmp_path: Path) -> None:
    run: Run = begin(_SECONDS)
    shop = Shop(start(), tmp_path, copies=2)
    judge, kills = ShopJudge(), {"server": 0, "service": 0}
    buyers: list[Buyer] = []
    try:
        shop.start()
        customers = [shop.create_customer(limit) for limit in _LIMITS]
        buyers += [Buyer(shop, customers, f"{run.seed}/{each}") for each in range(_BUYERS)]
        for buyer in buyers:
            buyer.start()
        while not run.over:
            time.sleep(run.chance.uniform(0, 1.5))
            kills[_break(shop, run.chance)] += 1
            _judge_now(shop, judge, buyers)
            if run.quiet:
                run.say(_score(judge, buyers, kills))
        for buyer in buyers:
            buyer.stop()
        run.say(f"coming to rest; {_score(judge, buyers, kills)}")
        shop.settle(_PATIENCE)
        _judge_now(shop, judge, buyers)
        _judge_at_rest(shop, judge, buyers, run.chance)
        run.say(f"judged; {_score(judge, buyers, kills)}")
        shop.end()
    except BaseException:
        run.say(f"failed, {run.hint}; {_score(judge, buyers, kills)}")
        raise
    finally:
        for buyer in buyers:
            buyer.stop()
        shop.close()
    # It was torture: all that is to be checked has happened, and often.
    assert min(len(judge.of(each)) for each in ("APPROVED", "REJECTED", "CANCELLED")) > 10
    for event_type in ("CreditReleased", "CreditLimitExceeded", "CustomerUnknown"):
        assert judge.counts[event_type] > 0
    assert min(kills.values()) > 0
    assert sum(each.unanswered for each in buyers) > 0
