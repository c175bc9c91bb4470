"""F6: a handler that raises is retried with a growing pause, in order; then an operator sees it."""

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from eventuary.swimlanes import swimlane_of
from tests.acceptance.clumsy_service import BROKEN, HANDLED
from tests.acceptance.conftest import OpenShop
from tests.acceptance.service_process import EXAMPLES, ServiceProcess
from tests.acceptance.shop import ORDER, SUBSCRIBERS, Shop, decoded
from tests.acceptance.waiting import wait_until

_FIRST_PAUSE = 0.1
_ATTEMPTS = 4


def _orders_of_one_swimlane(shop: Shop, customer: str) -> list[str]:
    """Place orders until three are in the same swimlane, and return those."""
    swimlanes: dict[int, list[str]] = {}
    while True:
        order = shop.place_order(customer, "1")
        shop.wait_for_state(order, "APPROVED")
        together = swimlanes.setdefault(swimlane_of(ORDER, order, 8), [])
        together.append(order)
        if len(together) == 3:
            return together


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    return open_shop()


@pytest.fixture
def clumsy(shop: Shop, tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service that begins broken."""
    directory = tmp_path / "clumsy"
    directory.mkdir()
    (directory / BROKEN).touch()
    service = ServiceProcess(
        "tests.acceptance.clumsy_service",
        f"{shop.server.url}?stomp_port={shop.server.stomp_port}",
        directory,
        environment={"PYTHONPATH": f"{EXAMPLES}:{Path(__file__).parents[2]}"},
    )
    service.start()
    yield service
    service.close()


def test_f6_what_fails_is_retried_parked_and_replayed(shop: Shop, clumsy: ServiceProcess) -> None:
    subscription = f"{shop.server.url}/v1/spaces/default/subscriptions/clumsy-service"
    policy = {"maxAttempts": _ATTEMPTS, "firstPause": _FIRST_PAUSE, "longestPause": 60}
    assert shop.http.put(f"{subscription}/policy", json=policy).status_code == 200
    orders = _orders_of_one_swimlane(shop, shop.create_customer("100"))
    swimlane = swimlane_of(ORDER, orders[0], 8)

    def parked() -> list[dict[str, object]]:
        answer = decoded(
            shop.http.get(f"{subscription}/dead-letters"), dict[str, list[dict[str, object]]]
        )
        return [each for each in answer["deadLetters"] if each["swimlane"] == swimlane]

    wait_until(lambda: len(parked()) > 0, "an event becomes a dead letter")
    [letter] = parked()
    assert (letter["entityId"], letter["eventType"]) == (orders[0], "OrderApproved")
    assert letter["attempts"] == _ATTEMPTS
    assert letter["reason"] == "RuntimeError: it is broken"

    # It was tried again after a pause that doubled each time; its swimlane waited meanwhile.
    tries = [
        (datetime.fromisoformat(match[1].replace(",", ".")), match[2])
        for match in re.finditer(
            r"^(\S+ \S+) WARNING eventuary.subscriber: .*could not handle OrderApproved .* "
            r"of orders.Order '([^']+)'",
            clumsy.log,
            re.MULTILINE,
        )
    ]
    assert not {order for _, order in tries} & set(orders[1:])
    times = [time for time, order in tries if order == orders[0]]
    assert len(times) == _ATTEMPTS
    for number, (before, after) in enumerate(pairwise(times)):
        assert (after - before).total_seconds() >= _FIRST_PAUSE * 2**number

    # Nobody else was held up.
    shop.settle()
    for name in SUBSCRIBERS:
        assert shop.subscription(name).lag == 0

    # An operator mends it, and has it delivered again: what waited behind it follows in order.
    (clumsy.directory / BROKEN).unlink()
    for position in {each["position"] for each in parked()}:
        answer = shop.http.post(f"{subscription}/dead-letters/{position}/replay")
        assert answer.status_code == 200, answer.text

    def handled() -> list[str]:
        return [each for each in _lines(clumsy.directory / HANDLED) if each in orders]

    wait_until(lambda: len(handled()) >= len(orders), "all are handled")
    assert handled() == orders
    wait_until(lambda: parked() == [], "no dead letter is left")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
