"""HTTP as it may come: in pieces, in heaps, old, half closed, cut off."""

import asyncio

import msgspec
import pytest

from tests.server.rest.conftest import HttpSide, Opening
from tests.server.rest.wire import DEADLINE, Wire, create, creation, find, request


@pytest.mark.timeout(300)  # each byte is an event to store
async def test_a_request_cut_at_every_byte(http: HttpSide, wire: Wire) -> None:
    whole = create("whole")
    for cut in range(1, len(whole)):
        entity_id = f"{cut:05}"
        data = create(entity_id)
        await wire.send(data[:cut])
        await asyncio.sleep(0)
        await http.until(lambda: all(each.answering for each in http.state.watched))
        answer = await wire.ask(data[cut:])
        assert answer.status == 200
        assert answer.json["entityId"] == entity_id


async def test_a_request_byte_by_byte(wire: Wire) -> None:
    for byte in create("slowly") + find("slowly"):
        await wire.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await wire.answer()).status == 200
    assert len(msgspec.json.decode((await wire.answer()).body)["events"]) == 1


async def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    await wire.send(
        create("one")
        + find("one")
        + request("GET", "/nothing")
        + request("PUT", "/entity/default")
        + create("two")
        + create("one")
        + find("two")
    )
    statuses = [(await wire.answer()).status for _ in range(7)]
    assert statuses == [200, 200, 404, 405, 200, 409, 200]


async def test_thousands_of_pipelined_requests_that_are_answered_at_once(wire: Wire) -> None:
    one = request("PUT", "/entity/default")
    sending = asyncio.create_task(wire.send(one * 5000))
    for _ in range(5000):
        assert (await wire.answer()).status == 405
    await sending
    assert (await wire.ask(create())).status == 200


async def test_a_broken_request_behind_good_ones_is_answered_last(wire: Wire) -> None:
    await wire.send(create("one") + find("one") + b"broken\r\n\r\n" + find("one"))
    assert (await wire.answer()).json["entityId"] == "one"
    assert "events" in (await wire.answer()).json
    last = await wire.answer()
    assert (last.status, last.error) == (400, "bad_request")
    assert last.headers["connection"] == "close"
    assert await wire.end() == b""


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /entity/default/A/1 HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /entity/default HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST /entity/default HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /entity/default HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST /entity/default HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /entity/default HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /entity/default HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET http:// HTTP/1.1\r\n\r\n",
        b"CONNECT somewhere:80 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where there is none
        b"CONNECT\nlogin:a\n\n\0",  # STOMP on the wrong port
    ],
)
async def test_what_is_not_http(wire: Wire, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    answer = await wire.ask(data)
    assert (answer.status, answer.error) == (400, "bad_request")
    assert answer.headers["connection"] == "close"
    assert await wire.end() == b""
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_chunked_body(wire: Wire) -> None:
    body = creation("chunked")
    chunks = b"".join(b"1;ext=1\r\n%b\r\n" % body[i : i + 1] for i in range(len(body)))
    answer = await wire.ask(
        request("POST", "/entity/default", None, "transfer-encoding: chunked")
        + chunks
        + b"0\r\ntrailer: x\r\n\r\n"
    )
    assert answer.json["entityId"] == "chunked"
    assert (await wire.ask(find("chunked"))).status == 200


async def test_a_client_that_waits_for_100_continue(wire: Wire) -> None:
    body = creation()
    head = request(
        "POST", "/entity/default", None, f"content-length: {len(body)}", "expect: 100-continue"
    )
    await wire.send(head)
    async with asyncio.timeout(DEADLINE):
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await wire.ask(body)).status == 200


async def test_100_continue_waits_for_the_answers_before_it(wire: Wire) -> None:
    body = creation()
    head = request(
        "POST", "/entity/default", None, f"content-length: {len(body)}", "Expect: 100-Continue"
    )
    await wire.send(create("before") + head)
    assert (await wire.answer()).json["entityId"] == "before"
    async with asyncio.timeout(DEADLINE):
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await wire.ask(body)).status == 200


async def test_a_body_that_would_be_too_large_is_not_asked_for(wire: Wire) -> None:
    answer = await wire.ask(
        request(
            "POST", "/entity/default", None, "content-length: 99999999999", "expect: 100-continue"
        )
    )
    assert (answer.status, answer.error) == (413, "payload_too_large")


async def test_connection_close(wire: Wire) -> None:
    answer = await wire.ask(create(None, "Connection: close"))
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await wire.end() == b""


async def test_http_1_0(wire: Wire) -> None:
    answer = await wire.ask(request("POST", "/entity/default", creation(), version="1.0"))
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await wire.end() == b""


async def test_the_answer_to_a_head_has_no_body(wire: Wire) -> None:
    await wire.send(request("HEAD", "/entity/default/A/1") + find("none"))
    answer = await wire.answer(head=True)
    assert answer.status == 405
    assert int(answer.headers["content-length"]) > 0
    assert (await wire.answer()).json == {"events": []}


async def test_an_absolute_target(wire: Wire) -> None:
    answer = await wire.ask(request("GET", "http://server:1/entity/default/A/1?x=1"))
    assert answer.json == {"events": []}
    assert (await wire.ask(request("GET", "http://server:1"))).status == 404
    assert (await wire.ask(request("OPTIONS", "*"))).status == 404


async def test_an_upgrade_to_http2_is_passed_over(wire: Wire) -> None:
    """As Java's client asks for, with its first request."""
    headers = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAE")
    await wire.send(
        request("GET", "/entity/default/A/1", None, *headers)
        + request("POST", "/entity/default", creation("upgrading"), *headers)
        + find("upgrading")
    )
    assert (await wire.answer()).json == {"events": []}
    assert (await wire.answer()).json["entityId"] == "upgrading"
    assert (await wire.answer()).status == 200


async def test_a_client_that_has_closed_its_side_still_gets_its_answers(wire: Wire) -> None:
    await wire.send(create("one") + find("one"))
    wire.writer.write_eof()
    assert (await wire.answer()).status == 200
    assert (await wire.answer()).status == 200
    assert await wire.end() == b""


async def test_a_client_that_goes_away_is_no_error(
    open_http: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_http() as http:
        for number in range(50):
            wire = await http.connect()
            await wire.send(create(f"gone-{number}") + find("x") + create()[: number * 4])
            wire.writer.transport.abort()
        await http.until(lambda: not http.state.watched)
    assert not [record for record in caplog.records if record.levelno >= 30]


async def test_what_a_client_that_went_away_has_asked_for_is_done(http: HttpSide) -> None:
    wire = await http.connect()
    await wire.send(create("kept"))
    await http.until(lambda: http.store.waiting_appends > 0 or http.store.head > 0)
    wire.writer.transport.abort()
    await http.until(lambda: http.store.head == 1)


async def test_every_answer_is_dated(wire: Wire) -> None:
    for data in (find("x"), request("GET", "/x"), request("PUT", "/entity/x")):
        assert (await wire.ask(data)).headers["date"].endswith(" GMT")
