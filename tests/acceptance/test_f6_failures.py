"""F6: a handler that raises is retried with a growing pause, in order; then an operator sees it."""

import re
from datetime import datetime
from itertools import pairwise

from eventuary.swimlanes import swimlane_of
from tests.acceptance.conftest import OpenShop
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


def test_f6_what_fails_is_retried_parked_and_replayed(open_shop: OpenShop) -> None:
    shop = open_shop()
    shop.settle()
    shop.subscription(
        "notifications",
        "policy",
        maxAttempts=_ATTEMPTS,
        firstPause=_FIRST_PAUSE,
        longestPause=60,
    )
    # The outside system is out of order: no folder can be made where a file is.
    shop.outbox.write_text("")
    orders = _orders_of_one_swimlane(shop, shop.create_customer("100"))
    swimlane = swimlane_of(ORDER, orders[0], 8)

    letters = f"{shop.server.url}/v1/spaces/default/subscriptions/notification-service/dead-letters"

    def parked() -> list[dict[str, object]]:
        answer = decoded(shop.http.get(letters), dict[str, list[dict[str, object]]])
        return [each for each in answer["deadLetters"] if each["swimlane"] == swimlane]

    wait_until(lambda: len(parked()) > 0, "an event becomes a dead letter")
    [letter] = parked()
    assert (letter["entityId"], letter["eventType"]) == (orders[0], "OrderApproved")
    assert letter["attempts"] == _ATTEMPTS
    assert "outbox" in str(letter["reason"])

    # It was tried again after a pause that doubled each time; its swimlane waited meanwhile.
    log = shop.services["notifications"][0].log
    tries = [
        (datetime.fromisoformat(match[1].replace(",", ".")), match[2])
        for match in re.finditer(
            r"^(\S+ \S+) WARNING eventuary.subscriber: .*could not handle OrderApproved .* "
            r"of orders.Order '([^']+)'",
            log,
            re.MULTILINE,
        )
    ]
    assert not {order for _, order in tries} & set(orders[1:])
    times = [time for time, order in tries if order == orders[0]]
    assert len(times) == _ATTEMPTS
    for number, (before, after) in enumerate(pairwise(times)):
        assert (after - before).total_seconds() >= _FIRST_PAUSE * 2**number

    # Nobody else was held up.
    for name in set(SUBSCRIBERS) - {"notifications"}:
        assert shop.subscription(name).lag == 0

    # An operator mends it, and has it delivered again: what waited behind it follows in order.
    shop.outbox.unlink()
    for position in {each["position"] for each in parked()}:
        answer = shop.http.post(f"{letters}/{position}/replay")
        assert answer.status_code == 200, answer.text
    wait_until(lambda: all(shop.emails_about(each) for each in orders), "all e-mails are there")
    written = [
        email.stat().st_mtime_ns
        for order in orders
        for email in shop.outbox.glob("*.eml")
        if order in email.read_text()
    ]
    assert len(written) == len(orders)
    assert written == sorted(written)
    assert parked() == []
