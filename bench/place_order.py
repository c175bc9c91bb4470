"""Place Order end to end: from POST /orders to APPROVED, through the server and two services."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import run, server
from bench.row import Effort, Row

_EXAMPLES = Path(__file__).parents[1] / "examples"
_READY = re.compile(r".* ready: http://\S+:(\d+)\n")


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the rows about a business transaction across services."""
    medians, slowest = list[float](), list[float]()
    orders = int(effort.seconds * 75)
    for _ in range(effort.rounds):
        with tempfile.TemporaryDirectory(dir=directory) as empty, server(Path(empty)) as ours:
            store = f"http://127.0.0.1:{ours.http}?stomp_port={ours.stomp}"
            with _service("customers", store) as customers, _service("orders", store) as mine:
                figures = run("place_order_calls", customers, mine, orders)
        medians.append(figures["p50"])
        slowest.append(figures["p99"])
    return [
        Row(
            work="Place Order, POST /orders to APPROVED, median",
            ours=medians,
            unit="ms",
            target=40.0,
            at_most=True,
        ),
        Row(work="the same, 99th percentile", ours=slowest, unit="ms"),
    ]


@contextmanager
def _service(name: str, store: str) -> Iterator[int]:
    """Run a service of the example; its port."""
    command = [sys.executable, "-m", f"customers_and_orders.{name}", f"--store={store}", "--port=0"]
    environment = {**os.environ, "PYTHONPATH": str(_EXAMPLES)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            ready = _READY.match(process.stdout.readline())
            assert ready is not None
            yield int(ready[1])
        finally:
            process.terminate()
            process.wait(60)
