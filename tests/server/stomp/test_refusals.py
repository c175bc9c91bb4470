"""Frames that can't be carried out: an ERROR that says why, then the end (rule 8)."""

import asyncio
import contextlib

import pytest

from eventuary.server.stomp import connection
from tests.server.standing_still import stand_still
from tests.server.stomp.conftest import StompSide
from tests.server.stomp.wire import VERSIONS, Frame, frame

DESTINATION = r'{"subscriberId"\c"s","entityTypesAndEvents"\c{"Order"\c["Ordered"]}}'

#: Whole frames, sent after CONNECT, with what the refusal mentions.
FRAMES = [
    ("SEND", {"destination": "/queue/a"}, b"hello", ["SEND", "REST", "POST /entity/"]),
    ("BEGIN", {"transaction": "t"}, b"", ["BEGIN", "REST", "POST /entity/"]),
    ("COMMIT", {"transaction": "t"}, b"", ["COMMIT", "REST", "POST /entity/"]),
    ("ABORT", {"transaction": "t"}, b"", ["ABORT", "REST", "POST /entity/"]),
    ("MESSAGE", {}, b"", ["'MESSAGE' is not a command of STOMP 1.2"]),
    ("subscribe", {}, b"", ["'subscribe'"]),
    ("SUBSCRIBE ", {}, b"", ["'SUBSCRIBE '"]),
    ("X" * 5000, {}, b"", ["'" + "X" * 40 + "'"]),
    ("SUBSCRIBE", {"destination": DESTINATION}, b"", ["id", "missing"]),
    ("SUBSCRIBE", {"id": "1"}, b"", ["destination", "missing"]),
    ("SUBSCRIBE", {"id": "1", "destination": DESTINATION, "ack": "maybe"}, b"", ["ack", "'maybe'"]),
    ("SUBSCRIBE", {"id": "1", "destination": DESTINATION, "ack": r"\t"}, b"", ["escape '\\t'"]),
    ("SUBSCRIBE", {"id": "1", "destination": DESTINATION, "ack": "\\"}, b"", ["escape '\\'"]),
    (
        "SUBSCRIBE",
        {"id": "1", "destination": DESTINATION, "ack": b"\xff"},
        b"",
        ["a header is not UTF-8: '\N{REPLACEMENT CHARACTER}'"],
    ),
    ("UNSUBSCRIBE", {}, b"", ["id", "missing"]),
    ("UNSUBSCRIBE", {"id": "nothing"}, b"", ["'nothing'"]),
    ("UNSUBSCRIBE", {"id": b"\xff"}, b"", ["no subscription"]),
    ("ACK", {}, b"", ["id", "missing", "ACK"]),
    ("ACK", {"id": ""}, b"", ["id", "missing", "ACK"]),
    ("NACK", {}, b"", ["id", "missing", "NACK"]),
    ("ACK", {"id": "12"}, b"", ["'12' is not the ack or message-id header of a MESSAGE"]),
    ("ACK", {"id": "{}"}, b"", ["'{}'"]),
    ("ACK", {"id": "x" * 10_000}, b"", ["'" + "x" * 120 + "'"]),
    ("ACK", {"id": b"\xff\xfe"}, b"", ["is not the ack"]),
    ("ACK", {"id": '{"a":' + "[" * 15_000}, b"", ["is not the ack"]),
    ("ACK", {"id": '{"receiptHandle":' + "[" * 7_000 + "]" * 7_000 + "}"}, b"", ["is not the ack"]),
    ("ACK", {"id": "1-0-1-1", "transaction": "t"}, b"", ["transaction"]),
    ("NACK", {"id": "1-0-1-1", "transaction": "t"}, b"", ["transaction"]),
]


@pytest.mark.parametrize(("command", "headers", "body", "mentions"), FRAMES)
async def test_frames_that_make_no_sense(
    stomp: StompSide,
    command: str,
    headers: dict[str, str | bytes],
    body: bytes,
    mentions: list[str],
) -> None:
    for receipt in ("r: 1", None):
        wire = await stomp.connect()
        await wire.log_in()
        # The receipt comes back as it was sent, escaped or not.
        asked = {} if receipt is None else {"receipt": receipt}
        await wire.send(frame(command, {**headers, **asked}, body))
        await wire.refused(*mentions, receipt=receipt)
    await stomp.still_serves()


#: What is no frame at all, sent after CONNECT.
NO_FRAMES = [
    (b"\0", "blank line"),
    (b"ACK\0", "blank line"),
    (b"ACK\nid:1\n\0", "blank line"),
    (b"ACK\nid\n\n\0", "'id' has no colon"),
    ("ACK\nnaïve\n\n\0".encode(), "'naïve' has no colon"),
    (b"ACK\nid:1\n \n\n\0", "no colon"),
    (b"\xc3\xa4\n\n\0", "'ä' is not a STOMP command"),
    (b"\xff\n\n\0", "'\N{REPLACEMENT CHARACTER}' is not a STOMP command"),
    (b"SEND\ncontent-length:x\n\n\0", "content-length: 'x'"),
    (b"SEND\ncontent-length:-1\n\n\0", "content-length: '-1'"),
    (b"SEND\ncontent-length:1e1\n\n\0", "content-length: '1e1'"),
    (b"SEND\ncontent-length:\n\n\0", "content-length: ''"),
    (b"SEND\ncontent-length:" + b"9" * 5000 + b"\n\n\0", "content-length: '999"),
    (b"SEND\ncontent-length:2\n\nabc\0", "content-length: 2 bytes of body are not followed by"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n\0", "blank line"),  # TLS in vain
]


@pytest.mark.parametrize(("data", "mention"), NO_FRAMES)
async def test_what_is_no_frame(stomp: StompSide, data: bytes, mention: str) -> None:
    for logged_in in (True, False):
        wire = await stomp.connect()
        if logged_in:
            await wire.log_in()
        await wire.send(data)
        await wire.refused(mention)
    await stomp.still_serves()


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_error_is_text_and_its_header_is_escaped(stomp: StompSide, version: str) -> None:
    wire = await stomp.connect()
    await wire.log_in(version)
    await wire.send(frame("SEND", {"receipt": "r"}))
    error = await wire.frame()
    assert list(error.headers) == [
        "message",
        "error",
        "content-type",
        "receipt-id",
        "content-length",
    ]
    assert error.headers["content-type"] == b"text/plain"
    if version != "1.0":
        assert b":" not in error.headers["message"]
    [again] = [await another(stomp, version)]
    assert again.body == error.body
    assert error.body.decode().startswith("SEND is not how to write here: ")


async def another(stomp: StompSide, version: str) -> Frame:
    wire = await stomp.connect()
    await wire.log_in(version)
    await wire.send(frame("SEND", {}))
    return await wire.frame()


@pytest.mark.parametrize(
    ("version", "undefined"), [("1.1", r"\r"), ("1.1", r"\t"), ("1.2", r"\t"), ("1.2", "\\ ")]
)
async def test_escapes_that_a_version_has_not(
    stomp: StompSide, version: str, undefined: str
) -> None:
    wire = await stomp.connect()
    await wire.log_in(version)
    await wire.send(
        frame("SUBSCRIBE", {"id": "1", "destination": DESTINATION, "ack": f"client{undefined}"})
    )
    await wire.refused("escape", undefined)


async def test_an_id_that_is_taken(stomp: StompSide) -> None:
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("one", {"Order": ["Ordered"]}, name="x")
    await wire.send(frame("SUBSCRIBE", {"id": "x", "destination": DESTINATION, "receipt": "r"}))
    await wire.refused("id", "'x'", receipt="r")


async def test_what_comes_behind_a_refused_frame_is_not_carried_out(stomp: StompSide) -> None:
    wire = await stomp.connect()
    await wire.log_in()
    await wire.send(
        frame("SUBSCRIBE", {"id": "1", "destination": "nonsense", "receipt": "1"}),
        frame("SUBSCRIBE", {"id": "2", "destination": DESTINATION, "receipt": "2"}),
    )
    await wire.refused("destination", receipt="1")
    assert await stomp.store.subscriptions.list("default") == []


async def test_what_was_asked_before_a_refused_frame_is_answered(stomp: StompSide) -> None:
    wire = await stomp.connect()
    await wire.send(
        frame("CONNECT", {"accept-version": "1.2"}),
        frame("SUBSCRIBE", {"id": "1", "destination": DESTINATION, "receipt": "1"}),
        frame("UNSUBSCRIBE", {"id": "1", "receipt": "2"}),
        frame("SEND", {"receipt": "3"}),
    )
    assert [answer.command for answer in await wire.rest()] == [
        "CONNECTED",
        "RECEIPT",
        "RECEIPT",
        "ERROR",
    ]


@pytest.mark.parametrize(("rubbish", "mention"), NO_FRAMES[:4])
async def test_what_came_before_rubbish_is_carried_out(
    stomp: StompSide, rubbish: bytes, mention: str
) -> None:
    """Though it is in one segment with it, and waits for the store."""
    await stomp.append("a", "1", "2")
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("one", {"Order": ["Ordered"]}, name="one")
    first, _ = await wire.messages(2)
    await wire.send(frame("ACK", {"id": first.ack}), rubbish)
    await wire.refused(mention)
    await stomp.until_acknowledged(1)

    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("one", {"Order": ["Ordered"]}, name="one")
    second = await wire.message()
    await wire.send(
        frame("SUBSCRIBE", {"id": "1", "destination": DESTINATION, "receipt": "1"}),
        frame("ACK", {"id": second.ack}),
        rubbish,
        frame("UNSUBSCRIBE", {"id": "1", "receipt": "2"}),
    )
    commands = [each.command for each in await wire.rest()]
    assert commands == ["RECEIPT", *["MESSAGE"] * commands.count("MESSAGE"), "ERROR"]
    await stomp.until_acknowledged(2)


async def test_a_refused_client_that_sends_on_still_reads_its_error(stomp: StompSide) -> None:
    """Were the connection closed with bytes unread, the kernel would take the ERROR away."""
    wire = await stomp.connect()
    await wire.log_in()
    sending = asyncio.create_task(wire.send(frame("SEND", {"receipt": "r"}), b"x" * 5_000_000))
    await wire.refused("REST", receipt="r")
    wire.abort()
    with contextlib.suppress(ConnectionError):
        await sending


async def test_a_refused_client_that_stays_is_cut(stomp: StompSide) -> None:
    wire = await stomp.connect()
    await wire.log_in()
    await wire.send(frame("SEND", {}))
    await wire.refused("REST")
    await stomp.until(lambda: not stomp.listener.connections)  # though it has not closed


async def test_a_refused_client_has_its_time_though_the_server_stands_still(
    stomp: StompSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends on, so that cutting its connection would take the error from it."""
    monkeypatch.setattr(connection, "_LINGER", 0.4)
    wire = await stomp.connect()
    await wire.log_in()
    await wire.send(frame("SEND", {}))
    await stomp.until(lambda: all(session.closed for session in stomp.sessions))
    await wire.send(b"and so on")
    await stand_still(1.0)
    assert stomp.listener.connections == 1
    await wire.send(b"and so on")
    await wire.refused("REST")


async def test_a_connection_that_was_refused_gets_no_more_messages(
    stomp: StompSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none of them count as delivered, not even where writing is acknowledging."""
    monkeypatch.setattr(connection, "_LINGER", 60.0)
    wire = await stomp.connect()
    await wire.log_in()
    await wire.subscribe("s", {"Order": ["Ordered"]}, ack="auto")
    await wire.send(frame("SEND", {}))
    assert (await wire.frame()).command == "ERROR"
    await stomp.append("a", "missed?")
    assert await wire.rest() == []
    # Others get what it would have got, though it lingers, so that it can read its error.
    again = await stomp.connect()
    await again.log_in()
    await again.subscribe("s", {"Order": ["Ordered"]}, ack="auto")
    await stomp.append("a", "next")
    assert [m.body["eventData"] for m in await again.messages(2)] == ["missed?", "next"]
    assert stomp.listener.connections == 2
