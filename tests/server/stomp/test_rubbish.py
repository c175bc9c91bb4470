"""Rubbish on live connections, made by Hypothesis: all of it is answered by ERROR or passed over,
the log stays clean, and the server serves the next one.
"""

import asyncio
import itertools
import json
import random
import tempfile
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.stomp.conftest import StompSide, stomp_side, unexpected
from tests.server.stomp.wire import VERSIONS, destination_of, escaped, frame

#: Deeper than JSON is read here.
NESTED = b'{"a":' * 3000

#: What a broken client may send as any value.
odd = st.one_of(
    st.just(NESTED),
    st.binary(max_size=30),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from(
        [
            b"",
            b"0",
            b"-1",
            b"1-0-1-1",
            b"99999999999999999999",
            b"\\",
            b"\\x",
            b"null",
            b"[" * 3000,
            b'{"id":"x","receiptHandle":{"subscriberId":"s","swimlane":0,"offset":1,"consumer":1}}',
            b'{"id":1,"receiptHandle":{"swimlane":1e3,"offset":-1,"consumer":true}}',
            b'{"receiptHandle":{"swimlane":9223372036854775808,"offset":1e308,"consumer":1}}',
        ]
    ),
)

GOOD_DESTINATION = destination_of("1.2", "s", {"Order": ["Ordered"]})

parts_of_destinations: dict[str, st.SearchStrategy[object]] = {
    "subscriberId": st.sampled_from(["s", "t", "", 1, None, "\ud83d", "x" * 300]),
    "entityTypesAndEvents": st.sampled_from(
        [{"Order": ["Ordered"]}, {}, {"Order": []}, {"": [""]}, {"Order": [1]}, [], None]
    ),
    "space": st.sampled_from(["default", "other", "", "a/b", 1, None]),
    "options": st.sampled_from([{}, {"durability": "TRANSIENT"}, {"readFrom": "END"}, 1, [[]]]),
    "progressNotifications": st.sampled_from([True, False, 1, "true"]),
    "durability": st.sampled_from(["DURABLE", "TRANSIENT", {}]),
}

destinations = st.one_of(
    st.builds(
        lambda asked, version: escaped(json.dumps(asked), version),
        st.fixed_dictionaries(
            {}, optional={name: parts_of_destinations[name] for name in parts_of_destinations}
        ),
        st.sampled_from(VERSIONS),
    ),
    st.just(GOOD_DESTINATION),
    odd,
)

#: What makes a frame of each command a good one, or almost; what may be wrong with it comes on top.
GOOD: dict[str, dict[str, bytes]] = {
    "SUBSCRIBE": {"id": b"1", "destination": GOOD_DESTINATION},
    "UNSUBSCRIBE": {"id": b"1"},
    "ACK": {"id": b"1-0-1-1"},
    "NACK": {"id": b"1-0-1-1"},
    "DISCONNECT": {"receipt": b"bye"},
    "CONNECT": {"accept-version": b"1.2"},
    "STOMP": {"accept-version": b"1.0,1.1"},
    "SEND": {"destination": b"/queue/a"},
    "BEGIN": {"transaction": b"1"},
    "MESSAGE": {"message-id": b"1"},
    "": {},
}

wrong = st.one_of(
    st.tuples(st.just("destination"), destinations),
    st.tuples(st.just("ack"), st.sampled_from([b"auto", b"client", b"client-individual"]) | odd),
    st.tuples(st.just("content-length"), st.sampled_from([b"0", b"1", b"100"]) | odd),
    st.tuples(st.just("heart-beat"), st.sampled_from([b"0,0", b"1,1"]) | odd),
    st.tuples(st.just("delivery-policy"), st.sampled_from([b"{}", b'{"window"\\c0}']) | odd),
    st.tuples(
        st.sampled_from(["id", "id", "receipt", "message-id", "message", "transaction", "login"]),
        odd,
    ),
)


def almost_good(command: str, changes: list[tuple[str, bytes]], body: bytes) -> bytes:
    return frame(command, {**GOOD[command], **dict(changes)}, body)


pieces = st.one_of(
    st.builds(
        almost_good,
        st.sampled_from(["SUBSCRIBE"] * 3 + ["ACK"] * 3 + ["NACK"] * 2 + list(GOOD)),
        st.lists(wrong, max_size=2),
        st.sampled_from([b"", b"", b"", b"x", b"x\0y"]),
    ),
    st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
    st.binary(max_size=40) | st.sampled_from([b"\0", b"ACK", b"\xff"]),
)


async def attack(stomp: StompSide, version: str | None, sent: list[bytes], seed: int) -> None:
    # Small numbers, so that what is sent may name a delivery.
    stomp.listener._numbers = itertools.count(1)
    wire = await stomp.connect()
    chance = random.Random(seed)
    if version is not None:
        await wire.log_in(version)
    await stomp.append("a", "{}")  # so that there is something to deliver
    for piece in sent:
        if wire.writer.transport.is_closing():
            break
        if chance.random() < 0.5:
            wire.writer.write(piece)
        else:
            place = chance.randrange(len(piece) + 1)
            wire.writer.write(piece[:place])
            await asyncio.sleep(0)
            wire.writer.write(piece[place:])
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
    if chance.random() < 0.2:
        wire.abort()
    else:
        wire.close_our_side()
        answers = await wire.rest()  # which are frames, whatever was sent
        commands = [each.command for each in answers]
        assert set(commands) <= {"CONNECTED", "MESSAGE", "RECEIPT", "ERROR"}
        assert "ERROR" not in commands[:-1], "it is the last"
        if "ERROR" in commands:
            assert answers[-1].headers["message"]
            assert b"unexpected error" not in answers[-1].body
        wire.abort()
    await stomp.until_alone()


@pytest.mark.timeout(300)  # each example stores an event
def test_rubbish_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        side = stomp_side(Path(directory) / "events.db")
        stomp = runner.run(side.__aenter__())

        @given(st.sampled_from([None, *VERSIONS]), st.lists(pieces, max_size=8), st.integers())
        @settings(
            max_examples=200,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        def attempt(version: str | None, sent: list[bytes], seed: int) -> None:
            caplog.clear()
            runner.run(attack(stomp, version, sent, seed))
            assert unexpected(caplog.records) == []

        try:
            attempt()
            runner.run(stomp.still_serves())
        finally:
            runner.run(side.__aexit__(None, None, None))
