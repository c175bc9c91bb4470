"""CONNECT and what follows from it: the version, heart-beats, refusals (rules 1 and 8)."""

import asyncio

import pytest

from eventuary.version import __version__
from tests.server.stomp.conftest import StompSide
from tests.server.stomp.wire import DEADLINE, VERSIONS, Frame, Wire, frame


@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
async def test_the_highest_version_that_both_speak(stomp: StompSide, command: str) -> None:
    for offered, agreed in [
        (None, "1.0"),
        ("1.0", "1.0"),
        ("1.1", "1.1"),
        ("1.2", "1.2"),
        ("1.0,1.1", "1.1"),
        ("1.2,1.1,1.0", "1.2"),
        ("1.0, 1.1 ,1.2", "1.2"),
        ("1.1,1.3,2.0", "1.1"),
    ]:
        headers = {"host": "x", "login": "a", "passcode": "b"}
        if offered is not None:
            headers["accept-version"] = offered
        wire = await stomp.connect()
        await wire.send(frame(command, headers))
        connected = await wire.frame()
        assert connected.command == "CONNECTED"
        session = connected.headers.pop("session")
        assert session.isalnum()
        assert connected.headers == {
            "version": agreed.encode(),
            "server": b"Eventuary/" + __version__.encode(),
            "heart-beat": b"0,0",
        }
        assert connected.body == b""


async def test_sessions_have_names_of_their_own(stomp: StompSide) -> None:
    sessions = {(await (await stomp.connect()).log_in()).headers["session"] for _ in range(5)}
    assert len(sessions) == 5


async def test_no_version_that_both_speak(wire: Wire) -> None:
    await wire.send(frame("CONNECT", {"accept-version": "0.9,2.0"}))
    error = await wire.frame()
    assert error.command == "ERROR"
    assert error.headers["version"] == b"1.0,1.1,1.2"
    assert b"0.9, 2.0" in error.headers["message"]
    assert await wire.rest() == []


async def test_line_ends_may_have_carriage_returns(stomp: StompSide) -> None:
    """From 1.2 on, in every frame; before that a CONNECT can't know."""
    wire = await stomp.connect()
    await wire.send(b"\r\n\r\nCONNECT\r\naccept-version:1.2\r\nhost:x\r\nlogin:a\r\n\r\n\0\r\n")
    assert (await wire.frame()).headers["version"] == b"1.2"
    await wire.send(
        b'SUBSCRIBE\r\nid:1\r\ndestination:{"subscriberId"\\c"s","entityTypesAndEvents"\\c{"A"\\c["E"]}}\r\n'
        b"receipt:r\r\n\r\n\0"
    )
    assert (await wire.frame()).headers == {"receipt-id": b"r"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_server_promises_heart_beats_and_asks_for_none(
    stomp: StompSide, version: str
) -> None:
    for asked, promised in [
        ("0,0", b"0,0"),
        ("60000,0", b"0,0"),
        ("0,10000", b"10000,0"),
        ("60000,60000", b"60000,0"),
        ("5000, 5000", b"5000,0"),
        ("0,1", b"1000,0"),  # no client is promised more often than once a second
        ("0,99999999999999999999", b"99999999999999999999,0"),
    ]:
        connected = await (await stomp.connect()).log_in(version, heart_beat=asked)
        assert connected.headers["heart-beat"] == promised


async def test_what_is_no_heart_beat(stomp: StompSide) -> None:
    for asked in ("", "1", "1,", ",1", "-1,1", "1,2,3", "a,b", "1.5,1", "١,٢", "1," + "9" * 60):
        wire = await stomp.connect()
        await wire.send(frame("CONNECT", {"accept-version": "1.2", "heart-beat": asked}))
        await wire.refused(f"heart-beat: '{asked[:40]}' is not two numbers of milliseconds")


async def test_heart_beats_come_as_agreed(stomp: StompSide) -> None:
    """One that promises beats and sends none is not cut. One that wants none gets none; nor does
    one that is kept busy: a beat that is glued to a frame breaks one client.
    """
    loop = asyncio.get_running_loop()
    silent, quiet, busy = [await stomp.connect() for _ in range(3)]
    times = [loop.time()]  # between two of them the busy one gets something
    await silent.log_in(heart_beat="100,2000")
    await quiet.log_in(heart_beat="0,0")
    await busy.log_in(heart_beat="0,4000")
    await busy.subscribe("busy", {"Order": ["Ordered"]})

    async def keep_busy() -> None:
        while True:
            times.append(loop.time())
            await stomp.append("a", "{}")
            await busy.send(frame("ACK", {"id": (await busy.message()).ack}))
            await asyncio.sleep(0.05)

    keeping_busy = asyncio.create_task(keep_busy())
    async with asyncio.timeout(DEADLINE):
        assert await silent.reader.readexactly(3) == b"\n\n\n"
    assert not keeping_busy.done()
    keeping_busy.cancel()
    times.append(loop.time())
    if all(later - earlier < 2.0 for earlier, later in zip(times, times[2:], strict=False)):
        assert busy.heart_beats == 0  # else the storage took so long that one was due
    for wire in (silent, quiet):
        await wire.subscribe(f"still {wire is silent}", {"Order": ["Ordered"]})
    assert quiet.heart_beats == 0


async def test_heart_beats_of_1_0_are_whole_frames(wire: Wire) -> None:
    """Its clients may take a line end for a part of the frame behind it."""
    await wire.log_in("1.0", heart_beat="1000,1000")
    for _ in range(2):
        assert await wire.frame() == Frame("RECEIPT", {"receipt-id": b"heart-beat"}, b"")
    assert wire.heart_beats == 0


@pytest.mark.parametrize(
    "data",
    [
        frame("SUBSCRIBE", {"id": "1", "destination": "{}"}),
        frame("ACK", {"id": "1"}),
        frame("DISCONNECT", {}),
        frame("connect", {}),
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n\0",
    ],
)
async def test_the_first_frame_is_connect(wire: Wire, data: bytes) -> None:
    await wire.send(data)
    await wire.refused("the first frame must be CONNECT", data.split(b"\n")[0].decode().strip())


@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
async def test_connecting_twice(wire: Wire, command: str) -> None:
    await wire.log_in()
    await wire.send(frame(command, {"accept-version": "1.2", "receipt": "r"}))
    await wire.refused("CONNECT", receipt="r")


async def test_nothing_of_a_frame_is_needed_but_its_command(stomp: StompSide) -> None:
    for command in (b"CONNECT\n\n\0", b"STOMP\n\n\0", b"CONNECT\nlogin:\npasscode:\n\n\0"):
        wire = await stomp.connect()
        await wire.send(command)
        assert (await wire.frame()).command == "CONNECTED"
