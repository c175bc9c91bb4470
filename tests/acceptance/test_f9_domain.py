"""F9: domain code is tested without a store: given events, when a command, then events.

The example's own tests, in ``tests/examples``, are written so; here it is shown that a process
which has neither store nor server nor network can run them, and that they can fail.
"""

import subprocess
import sys
from pathlib import Path

from tests.acceptance.service_process import EXAMPLES

_SPECIFICATION = """
import socket, sqlite3

def refuse(*arguments, **keywords):
    raise AssertionError("domain code asked for a store")

socket.socket.connect = socket.create_connection = sqlite3.connect = refuse

from decimal import Decimal
from customers_and_orders.customers.customer import Customer
from customers_and_orders.events.customers import CreditReserved, CustomerCreated
from eventuary.testing import given

outcome = given(
    Customer, CustomerCreated("Ada", Decimal(100)), CreditReserved("order-1", Decimal(70))
).when(Customer.reserve_credit, "order-2", Decimal({amount}))
outcome.then(CreditReserved("order-2", Decimal({amount})))
"""


def _run(amount: int, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _SPECIFICATION.format(amount=amount)],
        env={"PYTHONPATH": str(EXAMPLES)},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_f9_given_when_then(tmp_path: Path) -> None:
    done = _run(30, tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_f9_a_difference_is_told(tmp_path: Path) -> None:
    done = _run(31, tmp_path)
    assert done.returncode != 0
    assert "CreditLimitExceeded" in done.stderr
    assert "CreditReserved" in done.stderr
