"""SIGTERM and SIGINT: no new work, what is under way is answered, subscribers are told, exit 0."""

import signal
import socket
import time

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.load import Outcome, Writer, check_all
from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.stomp_client import ConnectionEnded, StompClient
from tests.acceptance.waiting import wait_until

#: What a server says that has waited for what is under way, in vain.
_GAVE_UP = "were not answered within"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(start: Start, number: int) -> None:
    server = start()
    with Rest(server.url) as rest:
        rest.create("Order", [Event("Ordered")])  # leaves an idle connection open
        assert server.terminate(number) == 0
    assert _GAVE_UP not in server.log


def test_what_is_under_way_is_answered(start: Start) -> None:
    server = start()
    writers = [Writer(server.url, f"w{number}", 1) for number in range(8)]
    for writer in writers:
        writer.start()
    wait_until(lambda: all(writer.acknowledged > 10 for writer in writers), "all are at work")
    assert server.terminate() == 0
    for writer in writers:
        writer.stop()
    server.start()

    check_all(server.url, writers)
    # Whoever was cut off had no answer and is not stored: it came when nothing new was taken.
    with Rest(server.url) as rest:
        for writer in writers:
            for entity_id, batches in writer.batches.items():
                data = "".join(e.event_data for e in rest.find("load.Account", entity_id))
                for batch in batches:
                    if batch.outcome is Outcome.UNKNOWN:
                        assert f'"batch":{batch.number},' not in data


def test_a_request_half_sent_is_finished(start: Start) -> None:
    server = start()
    body = b'{"entityTypeName": "Order", "entityId": "half", "events": [%s]}' % (
        b'{"eventType": "Ordered", "eventData": "{}"}'
    )
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=20) as connection:
        connection.sendall(
            b"POST /entity/default HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        # That it asks for the body shows that the request is under way.
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(body[:10])
        server.process.send_signal(signal.SIGTERM)
        _wait_until_refused(server.http_port)
        connection.sendall(body[10:])
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    assert server.wait() == 0
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")), answer
    server.start()
    with Rest(server.url) as rest:
        assert bool(rest.find("Order", "half")) is answer.startswith(b"HTTP/1.1 200")


def test_waiting_readers_are_answered(start: Start) -> None:
    server = start()
    with (
        Rest(server.url) as rest,
        rest.http.stream("GET", "/v1/spaces/default/log/stream") as stream,
        socket.create_connection(("127.0.0.1", server.http_port), timeout=20) as reader,
    ):
        assert stream.status_code == 200
        # They come in one segment: when the first is answered, the other one is under way.
        reader.sendall(
            b"GET /entity/default/Order/none HTTP/1.1\r\nhost: x\r\n\r\n"
            b"GET /v1/spaces/default/log?wait=30 HTTP/1.1\r\nhost: x\r\n\r\n"
        )
        answers = b""
        while not answers.endswith(b'{"events":[]}'):
            answers += _some(reader)
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 20, "it has not waited for them"
        for _ in stream.iter_raw():
            pass  # to its end, which is an orderly one
        answer = b""
        while part := reader.recv(65_536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"events":[],' in answer


def _some(connection: socket.socket) -> bytes:
    part = connection.recv(65_536)
    assert part, "the server has closed the connection"
    return part


def test_subscribers_are_told(start: Start) -> None:
    server = start()
    with StompClient(server.stomp_port) as client:
        client.subscribe("s", {"Order": ["Ordered"]})
        assert server.terminate() == 0
        frame = client.receive()
        assert frame.command == "ERROR"
        assert "shut" in frame.headers["message"] or "stop" in frame.headers["message"]
        with pytest.raises(ConnectionEnded):
            client.receive()


def test_a_subscriber_that_reads_nothing_holds_nobody_up(start: Start) -> None:
    server = start()
    with Rest(server.url) as rest, StompClient(server.stomp_port, receive_buffer=4096) as slow:
        slow.subscribe("s", {"Order": ["Ordered"]})
        for _ in range(20):
            rest.create("Order", [Event("Ordered", "x" * 50_000)] * 10)
        assert server.terminate() == 0


def _wait_until_refused(port: int) -> None:
    """Wait until the server takes no new connections: it has begun to drain."""

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            return True
        return False

    wait_until(refused, "no new connections are taken")
