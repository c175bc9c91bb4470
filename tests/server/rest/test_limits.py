"""Each limit of HTTP: what goes over it is told so, and the server goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from eventuary.limits import Limits
from eventuary.server import http_protocol
from tests.server.rest.conftest import HttpSide, Opening
from tests.server.rest.wire import DEADLINE, create, creation, find, request
from tests.server.sending import sending
from tests.server.standing_still import stand_still


async def still_serves(http: HttpSide) -> None:
    wire = await http.connect()
    assert (await wire.ask(create())).status == 200
    wire.close()


async def echo_length(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


@pytest.mark.parametrize("path", ["/entity/default", "/v1/anything"])
async def test_body_size(open_http: Opening, path: str) -> None:
    async with open_http(Limits(body_size=1000), app=echo_length) as http:
        wire = await http.connect()
        fitting = creation(data="x" * 850)
        fitting += b" " * (1000 - len(fitting))
        assert (await wire.ask(request("POST", path, fitting))).status == 200

        too_long = await wire.ask(request("POST", path, fitting + b" "))
        assert (too_long.status, too_long.error) == (413, "payload_too_large")
        assert "1000" in too_long.explanation
        assert await wire.end() == b""

        wire = await http.connect()
        head = request("POST", path, None, "transfer-encoding: chunked")
        await wire.send(head + b"3e8\r\n" + fitting + b"\r\n")
        chunked = await wire.ask(b"1\r\n \r\n")
        assert (chunked.status, chunked.error) == (413, "payload_too_large")
        assert await wire.end() == b""
        await still_serves(http)


async def test_a_refused_client_that_sends_on_still_reads_its_answer(open_http: Opening) -> None:
    async with open_http(Limits(body_size=1000)) as http:
        wire = await http.connect()
        async with sending(wire.send, request("POST", "/entity/default", b"x" * 5_000_000)):
            assert (await wire.answer()).error == "payload_too_large"
            assert await wire.end() == b""


async def test_bodies_of_all_connections_together(open_http: Opening) -> None:
    limits = Limits(body_size=1000, waiting_bytes=1500)
    async with open_http(limits) as http:
        assert http.state.most_body_bytes == 2000
        head = request("POST", "/entity/default", None, "content-length: 900")
        wires = [await http.connect() for _ in range(3)]
        for wire in wires[:2]:
            await wire.send(head + b"x" * 899)
        await http.until(lambda: http.state.body_bytes == 2 * 899)
        answer = await wires[2].ask(head + b"x" * 899)
        assert (answer.status, answer.error) == (503, "service_unavailable")
        for wire in wires[:2]:
            assert (await wire.ask(b"x")).status == 400  # not JSON, but taken
        assert http.state.body_bytes == 0


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nlong: " + b"a" * 3000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a" * 3000 + b": long\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"many: header\r\n" * 2000 + b"\r\n",
        # Never an end to it: only counting the bytes can find these.
        b"GET / HTTP/1.1\r\nendless: " + b"a" * 600_000,
        b"GET / HTTP/1.1\r\n" + b"endless" * 90_000,
        b"POST /entity/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
        b"trailer: " + b"a" * 600_000,
        b"POST /entity/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"a" * 600_000,
    ],
)
@pytest.mark.parametrize("piece", [100, 1 << 20])
async def test_headers(open_http: Opening, data: bytes, piece: int) -> None:
    limits = Limits(header_line_size=2000, headers_size=8000)
    async with open_http(limits) as http:
        wire = await http.connect()
        pieces = (data[start : start + piece] for start in range(0, len(data), piece))
        async with sending(wire.send, *pieces):
            answer = await wire.answer()
            assert (answer.status, answer.error) == (431, "headers_too_large")
            assert await wire.end() == b""
        await still_serves(http)


async def test_headers_within_the_limits(open_http: Opening) -> None:
    limits = Limits(header_line_size=2000, headers_size=8000)
    async with open_http(limits) as http:
        wire = await http.connect()
        headers = [f"x-{number}: {'a' * 1900}" for number in range(4)]
        for _ in range(10):  # the limits are a request's, not a connection's
            assert (await wire.ask(create(None, *headers))).status == 200
        await wire.send(create(None, *headers) * 10)
        for _ in range(10):
            assert (await wire.answer()).status == 200


async def test_connections(open_http: Opening) -> None:
    async with open_http(Limits(connections=3)) as http:
        wires = [await http.connect() for _ in range(3)]
        for wire in wires:
            assert (await wire.ask(find("x"))).status == 200
        refused = await http.connect()
        answer = await refused.answer()
        assert (answer.status, answer.error) == (503, "service_unavailable")
        assert await refused.end() == b""
        wires[0].close()
        await http.until(lambda: len(http.state.connections) < 3)
        assert (await (await http.connect()).ask(find("x"))).status == 200
        assert (await wires[1].ask(find("x"))).status == 200


@pytest.mark.parametrize("begun", [b"P", create()[:60], create()[:-1]])
async def test_a_request_that_does_not_end(open_http: Opening, begun: bytes) -> None:
    async with open_http(Limits(request_timeout=0.3)) as http:
        wire = await http.connect()
        assert (await wire.ask(find("x"))).status == 200
        answer = await wire.ask(begun)
        assert (answer.status, answer.error) == (408, "request_timeout")
        assert await wire.end() == b""
        await still_serves(http)


async def test_time_in_which_the_server_stands_still_does_not_count(open_http: Opening) -> None:
    async with open_http(Limits(request_timeout=0.4)) as http:
        wire = await http.connect()
        data = create()
        await wire.send(data[:60])
        await http.until(lambda: any(each.answering for each in http.state.watched))
        await stand_still(1.0)
        assert (await wire.ask(data[60:])).status == 200


async def test_a_refused_client_has_its_time_though_the_server_stands_still(
    open_http: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends on, so that cutting its connection would take the answer from it."""
    monkeypatch.setattr(http_protocol, "_LINGER", 0.4)
    async with open_http(Limits(body_size=1000, write_timeout=0.4)) as http:
        wire = await http.connect()
        await wire.send(request("POST", "/entity/default", None, "content-length: 2000"))
        await http.until(lambda: any(http.state.counters.refusals.values()))
        await wire.send(b"x" * 1000)
        await stand_still(1.0)
        assert http.state.watched
        await wire.send(b"x" * 1000)
        assert (await wire.answer()).error == "payload_too_large"
        assert await wire.end() == b""


async def test_a_request_that_drips(open_http: Opening) -> None:
    """The time runs from the first byte; each further one does not start it anew."""
    async with open_http(Limits(request_timeout=0.4)) as http:
        wire = await http.connect()

        async def drip() -> None:
            for byte in create(None, "x: " + "y" * 1000):
                await wire.send(bytes([byte]))
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert (await wire.answer()).status == 408
        dripping.cancel()


async def test_a_connection_that_never_sends(open_http: Opening) -> None:
    async with open_http(Limits(request_timeout=0.3)) as http:
        assert await (await http.connect()).end() == b""


async def test_a_connection_that_idles(open_http: Opening) -> None:
    async with open_http(Limits(keep_alive_timeout=0.3)) as http:
        wire = await http.connect()
        assert (await wire.ask(find("x"))).status == 200
        assert await wire.end() == b""


async def test_a_client_that_takes_no_answers(open_http: Opening) -> None:
    async with open_http(Limits(write_timeout=0.4)) as http:
        wire = await http.connect()
        await wire.ask(request("POST", "/entity/default", creation("large", data="x" * 1_000_000)))
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's is one
        many = asyncio.create_task(wire.send(find("large") * 2000))
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionError):
                await many  # ends when the server cuts the connection
                await http.until(lambda: not http.state.watched)
        await http.until(lambda: not http.state.watched)
        await still_serves(http)


async def test_a_client_that_takes_its_answers_late(http: HttpSide) -> None:
    """What was not taken holds up what comes behind; nothing is lost."""
    wire = await http.connect()
    await wire.ask(request("POST", "/entity/default", creation("large", data="x" * 1_000_000)))
    before = http.store.statistics.loads
    await wire.send(find("large") * 40)
    async with asyncio.timeout(DEADLINE):
        taken = 0
        while taken < 40:
            assert len((await wire.answer()).body) > 1_000_000
            taken += 1
    assert http.store.statistics.loads - before == 40


async def test_requests_behind_a_stream_wait(open_http: Opening) -> None:
    """A stream does not end; what is sent behind it is not read for ever."""
    ended = asyncio.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await ended.wait()

        await StreamingResponse(parts())(scope, receive, send)

    async with open_http(app=stream) as http:
        wire = await http.connect()
        await wire.send(request("GET", "/stream"))
        async with asyncio.timeout(DEADLINE):
            await wire.reader.readuntil(b"first")
        flood = asyncio.create_task(wire.send(find("x") * 400_000))
        done, _ = await asyncio.wait([flood], timeout=0.5)
        assert not done, "the server has read 30 MB behind a stream"
        [connection] = http.state.watched
        assert len(connection._waiting) < 10_000  # type: ignore[attr-defined]  # its insides
        flood.cancel()
        wire.writer.transport.abort()
        ended.set()
        await http.until(lambda: not http.state.watched)
