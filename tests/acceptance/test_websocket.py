"""STOMP over a WebSocket at ``/stomp``, as a browser has it."""

import json

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.acceptance.conftest import Start
from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import Body
from tests.acceptance.waiting import PATIENCE


def _open(server: ServerProcess) -> ClientConnection:
    connection = connect(
        f"ws://127.0.0.1:{server.http_port}/stomp",
        subprotocols=["v12.stomp", "v11.stomp"],  # type: ignore[list-item] # NewTypes of str
        proxy=None,
        open_timeout=PATIENCE,
    )
    assert connection.subprotocol == "v12.stomp"
    return connection


def _receive(connection: ClientConnection) -> tuple[str, dict[str, str], str]:
    """Return a frame, which a WebSocket message holds as a whole; heart-beats aside."""
    text = "\n"
    while not text.strip("\r\n"):
        message = connection.recv(PATIENCE)
        text = message if isinstance(message, str) else message.decode()
    head, _, rest = text.lstrip("\n").partition("\n\n")
    command, *lines = head.split("\n")
    headers = {name: value for name, _, value in (line.partition(":") for line in lines)}
    assert rest.rstrip("\n").endswith("\0")
    return command, headers, rest.rstrip("\n").removesuffix("\0")


def _connect_and_subscribe(connection: ClientConnection, space: str, subscriber_id: str) -> None:
    connection.send(
        "CONNECT\naccept-version:1.2\nhost:x\nlogin:id\npasscode:secret\nheart-beat:0,0\n\n\0"
    )
    command, headers, _ = _receive(connection)
    assert (command, headers["version"]) == ("CONNECTED", "1.2")
    destination = json.dumps(
        {
            "subscriberId": subscriber_id,
            "space": space,
            "entityTypesAndEvents": {"Order": ["Ordered"]},
        }
    ).replace(":", "\\c")
    connection.send(
        f"SUBSCRIBE\nid:1\ndestination:{destination}\nack:client-individual\nreceipt:r\n\n\0"
    )
    command, headers, _ = _receive(connection)
    assert (command, headers["receipt-id"]) == ("RECEIPT", "r")


def test_events_arrive_and_are_acknowledged(server: ServerProcess, rest: Rest) -> None:
    created = rest.create("Order", [Event("Ordered", '{"ü": 1}')] * 30)
    with _open(server) as browser:
        _connect_and_subscribe(browser, rest.space, "browser")
        received = []
        for _ in range(30):
            command, headers, body = _receive(browser)
            assert command == "MESSAGE"
            received.append(msgspec.json.decode(body, type=Body))
            browser.send(f"ACK\nid:{headers['ack']}\n\n\0")
        browser.send("DISCONNECT\nreceipt:bye\n\n\0")
        command, headers, _ = _receive(browser)
        assert (command, headers["receipt-id"]) == ("RECEIPT", "bye")

    assert [event.id for event in received] == created.event_ids
    assert {event.event_data for event in received} == {'{"ü": 1}'}
    with _open(server) as browser:
        _connect_and_subscribe(browser, rest.space, "browser")
        coming = rest.create("Order", [Event("Ordered")])
        _, _, body = _receive(browser)
        assert msgspec.json.decode(body, type=Body).id == coming.entity_version


def test_a_frame_in_pieces_and_frames_in_one_message(server: ServerProcess) -> None:
    with _open(server) as browser:
        for piece in ("CONN", "ECT\naccept-version:1.2\nhost:x\n", "\n\0"):
            browser.send(piece)
        assert _receive(browser)[0] == "CONNECTED"
        browser.send(b"UNSUBSCRIBE\nid:1\nreceipt:a\n\n\0\nDISCONNECT\nreceipt:b\n\n\0")
        assert [_receive(browser)[1]["receipt-id"] for _ in range(2)] == ["a", "b"]
        with pytest.raises(ConnectionClosed):
            browser.recv(PATIENCE)


def test_bad_frames_are_told_and_the_connection_closes(server: ServerProcess) -> None:
    with _open(server) as browser:
        browser.send("NONSENSE\n\n\0")
        assert _receive(browser)[0] == "ERROR"
        with pytest.raises(ConnectionClosed):
            browser.recv(PATIENCE)


def test_it_is_told_when_the_server_stops(start: Start) -> None:
    server = start()
    with _open(server) as browser:
        _connect_and_subscribe(browser, "default", "browser")
        assert server.terminate() == 0
        assert _receive(browser)[0] == "ERROR"
        with pytest.raises(ConnectionClosed):
            browser.recv(PATIENCE)
