"""STOMP over a WebSocket at ``/stomp``, as a browser has it."""

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.acceptance.conftest import Start
from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import Body
from tests.acceptance.waiting import PATIENCE


class Browser:
    """STOMP in the messages of a WebSocket, each of which holds whole frames: one or several."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._frames: deque[str] = deque()

    def send(self, message: str | bytes) -> None:
        """Send a WebSocket message."""
        self._connection.send(message)

    def receive(self) -> tuple[str, dict[str, str], str]:
        """Return the next frame: command, headers, body. Heart-beats are passed over."""
        while not self._frames:
            message = self._connection.recv(PATIENCE)
            text = message if isinstance(message, str) else message.decode()
            *frames, rest = text.split("\0")
            assert not rest.strip("\r\n"), "a message ends within a frame"
            self._frames += [frame.lstrip("\r\n") for frame in frames]
        head, _, body = self._frames.popleft().partition("\n\n")
        command, *lines = head.split("\n")
        return command, {name: value for name, _, value in (x.partition(":") for x in lines)}, body

    def wait_closed(self) -> None:
        """Wait until the server has closed the connection, with nothing more to say."""
        assert not self._frames
        with pytest.raises(ConnectionClosed):
            self._connection.recv(PATIENCE)


@contextmanager
def _open(server: ServerProcess) -> Iterator[Browser]:
    with connect(
        f"ws://127.0.0.1:{server.http_port}/stomp",
        subprotocols=["v12.stomp", "v11.stomp"],  # type: ignore[list-item] # NewTypes of str
        proxy=None,
        open_timeout=PATIENCE,
    ) as connection:
        assert connection.subprotocol == "v12.stomp"
        yield Browser(connection)


def _connect_and_subscribe(browser: Browser, space: str, subscriber_id: str) -> None:
    browser.send(
        "CONNECT\naccept-version:1.2\nhost:x\nlogin:id\npasscode:secret\nheart-beat:0,0\n\n\0"
    )
    command, headers, _ = browser.receive()
    assert (command, headers["version"]) == ("CONNECTED", "1.2")
    destination = json.dumps(
        {
            "subscriberId": subscriber_id,
            "space": space,
            "entityTypesAndEvents": {"Order": ["Ordered"]},
        }
    ).replace(":", "\\c")
    browser.send(
        f"SUBSCRIBE\nid:1\ndestination:{destination}\nack:client-individual\nreceipt:r\n\n\0"
    )
    command, headers, _ = browser.receive()
    assert (command, headers["receipt-id"]) == ("RECEIPT", "r")


def test_events_arrive_and_are_acknowledged(server: ServerProcess, rest: Rest) -> None:
    created = rest.create("Order", [Event("Ordered", '{"ü": 1}')] * 30)
    with _open(server) as browser:
        _connect_and_subscribe(browser, rest.space, "browser")
        received = []
        for _ in range(30):
            command, headers, body = browser.receive()
            assert command == "MESSAGE"
            received.append(msgspec.json.decode(body, type=Body))
            browser.send(f"ACK\nid:{headers['ack']}\n\n\0")
        browser.send("DISCONNECT\nreceipt:bye\n\n\0")
        command, headers, _ = browser.receive()
        assert (command, headers["receipt-id"]) == ("RECEIPT", "bye")

    assert [event.id for event in received] == created.event_ids
    assert {event.event_data for event in received} == {'{"ü": 1}'}
    with _open(server) as browser:
        _connect_and_subscribe(browser, rest.space, "browser")
        coming = rest.create("Order", [Event("Ordered")])
        _, _, body = browser.receive()
        assert msgspec.json.decode(body, type=Body).id == coming.entity_version


def test_a_frame_in_pieces_and_frames_in_one_message(server: ServerProcess) -> None:
    with _open(server) as browser:
        for piece in ("CONN", "ECT\naccept-version:1.2\nhost:x\n", "\n\0"):
            browser.send(piece)
        assert browser.receive()[0] == "CONNECTED"
        asked = json.dumps({"subscriberId": "s", "entityTypesAndEvents": {"Order": ["O"]}})
        asked = asked.replace(":", "\\c")
        browser.send(
            f"SUBSCRIBE\nid:1\ndestination:{asked}\nreceipt:a\n\n\0"
            "\nUNSUBSCRIBE\nid:1\nreceipt:b\n\n\0\nDISCONNECT\nreceipt:c\n\n\0".encode()
        )
        assert [browser.receive()[1]["receipt-id"] for _ in range(3)] == ["a", "b", "c"]
        browser.wait_closed()


def test_bad_frames_are_told_and_the_connection_closes(server: ServerProcess) -> None:
    with _open(server) as browser:
        browser.send("NONSENSE\n\n\0")
        assert browser.receive()[0] == "ERROR"
        browser.wait_closed()


def test_text_that_is_not_utf_8_is_refused_and_not_logged(start: Start) -> None:
    server = start()  # in the end, no traceback may be in its log
    with connect(f"ws://127.0.0.1:{server.http_port}/stomp", proxy=None) as connection:
        connection.send([b"CONN\xc3", b"ECT\n\n\0"], text=True)  # in two fragments
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(PATIENCE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007
    assert server.terminate() == 0
    assert server.log == ""


def test_text_that_is_not_utf_8_with_the_end_behind_it(start: Start) -> None:
    server = start()
    with connect(f"ws://127.0.0.1:{server.http_port}/stomp", proxy=None) as connection:
        # Masked with zeros: a text of one byte, and an empty close frame, in one piece.
        connection.socket.sendall(b"\x81\x81\0\0\0\0\xff\x88\x80\0\0\0\0")
        with pytest.raises(ConnectionClosed):
            connection.recv(PATIENCE)
    assert server.terminate() == 0
    assert server.log == ""


def test_it_is_told_when_the_server_stops(start: Start) -> None:
    server = start()
    with _open(server) as browser:
        _connect_and_subscribe(browser, "default", "browser")
        assert server.terminate() == 0
        assert browser.receive()[0] == "ERROR"
        browser.wait_closed()
