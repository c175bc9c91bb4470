"""F8: the same services run in one process and against a server, by changing one URL."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.service_process import ServiceProcess
from tests.acceptance.waiting import wait_until

Open = Callable[[str], ServiceProcess]


@pytest.fixture
def open_services(tmp_path: Path) -> Iterator[Open]:
    """Start all services in one process, over the store of this URL."""
    processes: list[ServiceProcess] = []

    def opening(store: str) -> ServiceProcess:
        process = ServiceProcess("customers_and_orders", store, tmp_path)
        processes.append(process)
        process.start()
        return process

    yield opening
    for process in processes:
        process.close()


class _Shopping:
    """Place Order over the API of all services in one process."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def go(self) -> str:
        """Place an order that is approved, and three that are not; return the customer's id."""
        shown = self._post("/customer-service/customers", name="Ada", creditLimit=100)
        customer: str = shown["customerId"]
        self._order(customer, 60, "APPROVED")
        self._order(customer, 60, "REJECTED")
        self._order("nobody", 1, "REJECTED")
        cancelled = self._order(customer, 40, "APPROVED")
        self._post(f"/order-service/orders/{cancelled}/cancel")
        wait_until(
            lambda: (
                self.states(customer) == ["CANCELLED", "REJECTED", "APPROVED"]
                and self.reserved(customer) == "60.00"
            ),
            "the history shows it",
        )
        return customer

    def states(self, customer: str) -> list[str]:
        """Return the states of the customer's orders, as the history has them."""
        document = self._get(f"/order-history-service/customers/{customer}")
        return [each["state"] for each in document.get("orders", [])]

    def reserved(self, customer: str) -> str:
        """Return the customer's credit that is held, as the history has it."""
        shown: str = self._get(f"/order-history-service/customers/{customer}")["creditReserved"]
        return shown

    def available(self, customer: str) -> str:
        """Return the customer's credit, as the customer service has it."""
        shown: str = self._get(f"/customer-service/customers/{customer}")["availableCredit"]
        return shown

    def _order(self, customer: str, total: int, state: str) -> str:
        shown = self._post("/order-service/orders", customerId=customer, orderTotal=total)
        order: str = shown["orderId"]
        path = f"/order-service/orders/{order}"
        wait_until(lambda: self._get(path)["state"] == state, f"{order} is {state}")
        return order

    def _get(self, path: str) -> dict[str, Any]:
        shown: dict[str, Any] = self._http.get(path).json()
        return shown

    def _post(self, path: str, **body: object) -> dict[str, Any]:
        answer = self._http.post(path, json=body)
        assert answer.is_success, answer.text
        shown: dict[str, Any] = answer.json()
        return shown


def _emails(directory: Path) -> int:
    return len(list((directory / "outbox").glob("*.eml")))


def test_f8_in_memory(open_services: Open, tmp_path: Path) -> None:
    process = open_services("memory:")
    _Shopping(process.url).go()
    wait_until(lambda: _emails(tmp_path) == 2, "e-mails are written")
    assert process.end() == 0
    assert process.log == ""


def test_f8_in_a_file(open_services: Open, tmp_path: Path) -> None:
    process = open_services("sqlite:shop.db")
    customer = _Shopping(process.url).go()
    process.kill()
    process.start()
    assert _Shopping(process.url).available(customer) == "40.00"
    _Shopping(process.url).go()
    wait_until(lambda: _emails(tmp_path) == 4, "e-mails are written")


def test_f8_against_a_server(open_services: Open, start: Start, tmp_path: Path) -> None:
    server = start()
    process = open_services(f"{server.url}?stomp_port={server.stomp_port}")
    _Shopping(process.url).go()
    wait_until(lambda: _emails(tmp_path) == 2, "e-mails are written")
    assert process.end() == 0
    assert process.log == ""


def test_f8_a_url_that_names_no_store_is_told_in_one_line(open_services: Open) -> None:
    for url in ("ftp://nowhere", "http://127.0.0.1:1/path", "sqlite:/no/such/folder/x.db"):
        with pytest.raises(AssertionError, match="customers and orders: ") as failure:
            open_services(url)
        assert "Traceback" not in str(failure.value)
