"""What pytest prints of failures: the line of the test, the difference, and nothing of ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
from decimal import Decimal

from eventuary import EventStore, Repository
from eventuary.testing import eventually, every_crash, given
from tests.framework.shop import *

CREATED = OrderCreated("ada", Decimal(1))


def test_other_events() -> None:
    given(Order, CREATED).when(Order.reject, "late").then(OrderRejected("early"))


def test_a_refusal() -> None:
    given(Order, CREATED).when(Order.cancel).then(OrderCancelled("ada"))


async def test_never() -> None:
    number = 1
    await eventually(lambda: number == 2, within=0)


async def test_a_crash() -> None:
    async def place(store: EventStore) -> None:
        await Repository(store, Order).save(CREATED)

    async for attempt in every_crash(place):
        async with attempt as store:
            assert store is None
"""

REPORT = [
    # of test_other_events
    '>   given(Order, CREATED).when(Order.reject, "late").then(OrderRejected("early"))',
    "E   AssertionError: Order.reject emitted other events than expected:",
    "E     1. OrderRejected",
    "E          reason: expected 'early', got 'late'",
    # of test_a_refusal
    '>   raise NotToBeCancelled(f"the order is {self.state.value}, not approved")',
    "The above exception was the direct cause of the following exception:",
    '>   given(Order, CREATED).when(Order.cancel).then(OrderCancelled("ada"))',
    "E   AssertionError: Order.cancel raised NotToBeCancelled: the order is created, not approved",
    # of test_never
    ">   await eventually(lambda: number == 2, within=0)",
    "E   AssertionError: not within 0 s: number == 2: is False",
    # of test_a_crash
    ">   assert store is None",
    "E   every_crash: step 1: crashed before the creation of orders.Order (new) by OrderCreated",
]


@pytest.mark.timeout(400)
def test_a_report_shows_the_test_s_line_and_the_difference(tmp_path: Path) -> None:
    (tmp_path / "test_orders.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pytest_asyncio.plugin", "test_orders.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "4 failed" in ran.stdout, ran.stdout + ran.stderr
    rest = iter([" ".join(line.split()) for line in ran.stdout.splitlines()])
    for expected in REPORT:
        assert any(line == " ".join(expected.split()) for line in rest), (expected, ran.stdout)
    for ours in ("specification.py", "eventually.py", "every_crash.py", "command(aggregate"):
        assert ours not in ran.stdout, ran.stdout
