"""P11: the view is MongoDB when given a URL, SQL otherwise; dropped, it is rebuilt from the events
while the services run, to the same content.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from sqlalchemy import MetaData, create_engine

from tests.acceptance.conftest import Start
from tests.acceptance.service_process import EXAMPLES
from tests.acceptance.shop import CustomerInHistory, OrderInHistory, Shop
from tests.acceptance.waiting import wait_until

_PATIENCE = 60


class _View:
    """A shop whose history is kept in one kind of database."""

    def __init__(self, shop: Shop, variables: dict[str, str], drop: Callable[[], None]) -> None:
        self.shop = shop
        self.drop = drop
        self._variables = variables

    def rebuild(self) -> str:
        """Rebuild it as an operator does, from another process."""
        done = subprocess.run(
            [sys.executable, "-m", "eventuary", "views", "rebuild", "order-history",
             "--app", "customers_and_orders.order_history.storage:views",
             "--store", f"{self.shop.server.url}?stomp_port={self.shop.server.stomp_port}"],
            env={**os.environ, "MONGODB_URL": "", "PYTHONPATH": str(EXAMPLES), **self._variables},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done
        return done.stdout


@pytest.fixture(params=["sqlite", "mongodb"])
def view(start: Start, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[_View]:
    database = tmp_path / "order-history.db"
    if request.param == "mongodb":
        url = request.getfixturevalue("mongodb_database")
        variables = {"MONGODB_URL": url}
    else:
        url = f"sqlite:///{database}"
        variables = {"ORDER_HISTORY": str(database)}

    def drop() -> None:
        if request.param == "mongodb":
            with MongoClient[dict[str, Any]](url) as client:
                client.drop_database(client.get_default_database().name)
            return
        engine, metadata = create_engine(url), MetaData()
        metadata.reflect(engine)
        metadata.drop_all(engine)
        engine.dispose()

    shop = Shop(start(), tmp_path, copies=2, environment=variables)
    try:
        shop.start()
        yield _View(shop, variables, drop)
        shop.end()
    finally:
        shop.close()
    assert database.exists() == (request.param == "sqlite"), "it is kept where it was said"


def _shown(shop: Shop, customers: list[str], orders: list[str]) -> list[Any]:
    content: list[CustomerInHistory | OrderInHistory] = [
        shop.customer_history(each) for each in customers
    ]
    content += [shop.order_history(each) for each in orders]
    return content


def _trade(shop: Shop, customers: list[str], orders: list[str]) -> None:
    """Let orders be approved, rejected and cancelled."""
    customers.append(shop.create_customer("100"))
    orders.extend([shop.place_order(customers[-1], total) for total in ("60", "60", "30")])
    shop.wait_for_state(orders[-1], "APPROVED")
    shop.cancel(orders[-1])


def test_p11_a_view_is_rebuilt_while_the_services_run(view: _View) -> None:
    shop = view.shop
    customers: list[str] = []
    orders: list[str] = []
    _trade(shop, customers, orders)
    shop.settle()
    before = _shown(shop, customers, orders)
    assert "generation 2 is live" in view.rebuild()
    assert _shown(shop, customers, orders) == before
    # Its processes have gone on with the new one.
    _trade(shop, customers, orders)
    shop.settle()

    def follows() -> bool:
        # A process reads the old one, which has not heard of the customer, until it has looked.
        answer = shop.http.get(f"{shop.url('order_history')}/customers/{customers[-1]}")
        # Which of two is approved that can't both be is not said.
        return answer.status_code == 200 and sorted(
            each["state"] for each in answer.json()["orders"]
        ) == ["APPROVED", "CANCELLED", "REJECTED"]

    wait_until(follows, "the new generation follows the events")
    assert _shown(shop, customers[:1], orders[:3]) == [before[0], *before[1:]]


def test_p11_a_view_that_was_dropped_is_filled_anew_while_the_services_run(view: _View) -> None:
    shop = view.shop
    customers: list[str] = []
    orders: list[str] = []
    _trade(shop, customers, orders)
    shop.settle()
    before = _shown(shop, customers, orders)
    view.drop()

    def filled() -> bool:
        answers = [
            shop.http.get(f"{shop.url('order_history', copy)}/{path}")
            for copy in range(2)
            for path in (*(f"customers/{each}" for each in customers),
                         *(f"orders/{each}" for each in orders))
        ]  # fmt: skip
        return all(each.status_code == 200 for each in answers)

    wait_until(filled, "the view is there again", patience=_PATIENCE)
    shop.settle()
    assert _shown(shop, customers, orders) == before
