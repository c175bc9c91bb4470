"""STOMP: the page's frames byte for byte, its errors, its limits, and its browser."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from eventuary.limits import Limits
from tests.acceptance.waiting import wait_until
from tests.docs.page import ROOT, blocks_of, code_in, table_under
from tests.docs.reader import Reader
from tests.docs.stomp_wire import StompWire, printed
from tests.docs.terminal import PATIENCE

_PAGE = ROOT / "docs/stomp.md"

_CONNECT = "CONNECT\naccept-version:1.2\nlogin:{0}\npasscode:{1}\n\n^@"
_SUBSCRIBE = (
    'SUBSCRIBE\nid:1\ndestination:{{"subscriberId":"{0}","space":"{1}",'
    '"entityTypesAndEvents":{{"orders.Order":["OrderCreated"]}}}}\nreceipt:r\n\n^@'
)
_SUBSCRIBED = _SUBSCRIBE.format("order-view", "default")


def test_its_frames_are_those_of_the_server(reader: Reader) -> None:
    reader.serve("--swimlanes 2")
    reader.read("docs/stomp.md")
    reader.finish()


def test_its_errors_are_those_of_the_server(reader: Reader) -> None:
    reader.serve("--api-key orders:s3cret")
    shown = [
        (code_in(message)[0], code_in(code)[0]) for message, code, _ in table_under(_PAGE, "Errors")
    ]
    for expected, actual in zip(shown, _provoked(reader), strict=True):
        assert actual == expected


def test_its_limits_are_those_of_the_server() -> None:
    limits = msgspec.to_builtins(Limits())
    rows = table_under(_PAGE, "Limits")
    assert {code_in(name)[0]: float(value) for name, value, _ in rows} == {
        code_in(name)[0]: limits[code_in(name)[0]] for name, _, _ in rows
    }


def test_its_browser_receives_and_acknowledges(host: Reader) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node, which stands in for a browser, is not on this machine")
    node_with_sockets = [node, "--experimental-websocket", "-e"]
    trial = subprocess.run(
        [*node_with_sockets, "process.exit(typeof WebSocket === 'function' ? 0 : 1)"],
        capture_output=True,
        check=False,
    )
    if trial.returncode:
        pytest.skip("this node has no WebSocket")
    [script] = [block.text for block in blocks_of(_PAGE) if block.language == "js"]
    with subprocess.Popen(
        [*node_with_sockets, script.replace("8080", str(host.http_port))],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        guard = threading.Timer(PATIENCE, process.kill)
        guard.start()
        assert process.stdout is not None
        try:
            for order in ("order-1", "order-2"):
                _create(host.url, order)
                assert process.stdout.readline() == f"{order} OrderCreated\n"
            path = f"{host.url}/v1/spaces/default/subscriptions/browser"
            wait_until(
                lambda: httpx.get(path, timeout=30).json()["lag"] == 0, "all is acknowledged"
            )
        finally:
            guard.cancel()
            process.kill()


def _create(url: str, order: str) -> None:
    event = {"eventType": "OrderCreated", "eventData": "{}"}
    httpx.post(
        f"{url}/entity/default",
        json={"entityTypeName": "orders.Order", "entityId": order, "events": [event]},
        timeout=30,
    ).raise_for_status()


def _provoked(reader: Reader) -> Iterator[tuple[str, str]]:
    """Do what the table's rows are about, one after the other; each ``message`` and ``error``."""

    def error(*frames: str) -> tuple[str, str]:
        wire = StompWire(reader.stomp_port)
        wire.send("".join(frames))
        return _error(wire)

    connect = _CONNECT.format("orders", "s3cret")
    yield error(_CONNECT.format("orders", "guess"))
    yield error("CONNECT\naccept-version:1.3\n\n^@")
    yield error(_SUBSCRIBED)
    yield error(connect, connect)
    yield error(connect, "PUBLISH\n\n^@")
    yield error(connect, "SUBSCRIBE\nid:1\n\n^@")
    yield error(connect, "SUBSCRIBE\nid:1\ndestination:/queue/orders\n\n^@")
    yield error(connect, "SUBSCRIBE\nid:1\nack:always\ndestination:{}\n\n^@")
    yield error(connect, _SUBSCRIBED, _SUBSCRIBED)
    yield error(connect, "UNSUBSCRIBE\nid:9\n\n^@")
    yield error(connect, "NACK\nid:9\n\n^@")
    yield error(connect, "ACK\nid:1-0-1-1\ntransaction:t\n\n^@")
    yield error(connect, "NACK\nid:1-0-1-1\ndead-letter:yes\n\n^@")
    yield error(connect, "UNSUBSCRIBE\nid:1\nreceipt\n\n^@")

    with httpx.Client(base_url=reader.url, auth=("orders", "s3cret"), timeout=30) as operator:
        key = operator.post("/v1/keys", json={"keyId": "reports", "spaces": ["default"]}).json()
        reports = _CONNECT.format("reports", key["secret"])
        yield error(reports, _SUBSCRIBE.format("order-view", "private"))
        wire = StompWire(reader.stomp_port)
        wire.send(reports)
        assert printed(wire.receive()).startswith("CONNECTED\n")
        operator.delete("/v1/keys/reports").raise_for_status()
        yield _error(wire)
        wires = [StompWire(reader.stomp_port) for _ in range(2)]
        for number, wire in enumerate(wires):
            wire.send(connect + _SUBSCRIBE.format(["order-view", "report"][number], "default"))
            assert printed(wire.receive()).startswith("CONNECTED\n")
            assert printed(wire.receive()).startswith("RECEIPT\n")
        operator.delete("/v1/spaces/default/subscriptions/order-view").raise_for_status()
        yield _error(wires[0])
    reader.interrupt("server")
    yield _error(wires[1])


def _error(wire: StompWire) -> tuple[str, str]:
    """Wait for an ERROR, behind which the connection is closed; its ``message`` and ``error``."""
    while not (frame := printed(wire.receive())).startswith("ERROR\n"):
        assert frame, "closed without an ERROR"
    assert not wire.receive()
    wire.close()
    found = re.search(r"^message:(.*)\nerror:(.*)$", frame, re.MULTILINE)
    assert found is not None, frame
    return found[1].replace(r"\c", ":").replace(r"\\", "\\"), found[2]
