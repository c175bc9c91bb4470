"""The README's minute with curl, and its SUBSCRIBE."""

import re

from tests.docs.page import ROOT
from tests.docs.reader import Reader
from tests.docs.stomp_wire import StompWire, printed


def test_its_calls_are_answered_as_it_shows(reader: Reader) -> None:
    reader.serve()
    reader.read("README.md")
    reader.finish()


def test_its_subscription_is_one(host: Reader) -> None:
    text = (ROOT / "README.md").read_text()
    [shown] = re.findall(r"^    SUBSCRIBE\n(?:    .+\n)+", text, re.MULTILINE)
    frame = shown.replace("\n    ", "\n").removeprefix("    ") + "receipt:yes\n\n^@"
    wire = StompWire(host.stomp_port)
    wire.send("CONNECT\naccept-version:1.2\n\n^@")
    assert printed(wire.receive()).startswith("CONNECTED\n")
    wire.send(frame)
    assert printed(wire.receive()) == "RECEIPT\nreceipt-id:yes\n\n^@"
    wire.close()
