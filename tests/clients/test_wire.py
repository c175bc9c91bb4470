"""The bytes: what the clients send is what the published ones send, and what hurts them.

A client that reads or writes badly is still to be served.
"""

import json
import re
from collections.abc import Iterator

import pytest

from tests.acceptance.rest_client import Event
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.waiting import wait_until
from tests.clients.accounts import OPENED, Accounts
from tests.clients.client_process import ClientProcess
from tests.clients.conftest import (
    BACKSLASH_KEY,
    GO,
    JAVA,
    NODE,
    NODE_PACKAGE,
    Kind,
    Run,
    for_each,
)
from tests.clients.relay import Relay

pytestmark = pytest.mark.timeout(300)  # the first test of each client may build it

#: Commands and the names of their headers, in the order in which they are sent.
_FRAMES = {
    GO: [
        "CONNECT accept-version host login passcode heart-beat content-length",
        "SUBSCRIBE id destination ack content-length",
        "ACK id content-length",
    ],
    JAVA: [
        "CONNECT accept-version heart-beat host login passcode",
        "SUBSCRIBE destination receipt id",
        "ACK id",
    ],
    NODE: [
        "CONNECT login passcode heart-beat",
        "SUBSCRIBE id receipt destination session",
        "ACK id",
    ],
    NODE_PACKAGE: [
        "CONNECT login passcode",
        "SUBSCRIBE id receipt destination session",
        "ACK message-id",
    ],
}


@pytest.fixture
def relay(server: ServerProcess) -> Iterator[Relay]:
    """What the client takes for the server."""
    with Relay(server.stomp_port) as between:
        yield between


@for_each(GO, JAVA, NODE, NODE_PACKAGE)
def test_what_they_send(
    run: Run, server: ServerProcess, space: str, relay: Relay, accounts: Accounts, kind: Kind
) -> None:
    [opened] = accounts.open()
    client = run(server, space=space, stomp_port=relay.port)
    client.subscribe("observed", accounts.selection)
    event = client.next()
    assert event.id == opened
    client.finish(event)
    wait_until(lambda: relay.sent.count(b"\0") == 3, "three frames have been sent")
    frames = relay.sent.decode().split("\0")
    assert [
        " ".join(re.findall(r"^([\w-]+)(?::|$)", frame, re.MULTILINE)) for frame in frames[:-1]
    ] == _FRAMES[kind]
    assert frames[-1] == ""
    client.close()


@for_each(GO, JAVA, NODE)  # of which the second doubles it in CONNECT
def test_a_secret_with_a_backslash(
    run: Run, server: ServerProcess, space: str, accounts: Accounts
) -> None:
    [opened] = accounts.open()
    client = run(server, space=space, key=BACKSLASH_KEY)
    client.subscribe("secretive", accounts.selection)
    assert client.next().id == opened
    client.close()


@for_each(NODE)  # the others promise themselves heart-beats more seldom
def test_a_heart_beat_that_is_read_together_with_a_message(
    run: Run, server: ServerProcess, space: str, relay: Relay, accounts: Accounts
) -> None:
    client = run(server, space=space, stomp_port=relay.port)
    client.subscribe("busy", accounts.selection)
    accounts.open()
    client.finish(client.next())

    # As when the client is busy while the heart-beat comes, and still when the message does.
    relay.hold()
    relay.wait_for_held(b"heart-beat")
    ids = accounts.open(1)
    relay.wait_for_held(ids[1].encode())
    relay.release()
    for event_id in ids:
        assert client.next().id == event_id
    client.close()


@for_each(GO, JAVA, NODE, NODE_PACKAGE)  # the last two decode each read for itself
def test_a_character_that_is_cut_in_two(client: ClientProcess, accounts: Accounts) -> None:
    # Of three bytes each: wherever reads end, some end within one.
    data = json.dumps({"euros": "€" * 300_000}, ensure_ascii=False)
    client.subscribe("rich", accounts.selection)
    accounts.open(opened=Event(OPENED.event_type, data))
    received = client.next().event_data
    broken = received.count("\ufffd")
    assert broken == 0
    assert received == data


@for_each(GO, JAVA, NODE)  # of which the second takes no header of over 10,240 characters
def test_a_subscription_to_hundreds_of_event_types(
    client: ClientProcess, accounts: Accounts
) -> None:
    others = [f"net.example.domain.events.EventNumber{number:04d}" for number in range(300)]
    client.subscribe("curious", {**accounts.selection, "net.example.Other": others})
    [opened] = accounts.open()
    assert client.next().id == opened
