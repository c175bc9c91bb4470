"""Each limit of STOMP: what goes over it is told so, and the server goes on."""

import asyncio
import contextlib

import pytest

from eventuary.limits import Limits
from eventuary.stomp_frames import Frame
from tests.server.sending import sending
from tests.server.standing_still import stand_still
from tests.server.stomp.conftest import Opening
from tests.server.stomp.wire import destination_of, frame

TYPES = {"Order": ["Ordered"]}


@pytest.mark.parametrize("piece", [1, 100, 1 << 20])
async def test_a_header_line(open_stomp: Opening, piece: int) -> None:
    async with open_stomp(Limits(header_line_size=300)) as stomp:
        wire = await stomp.connect()
        await wire.log_in(x="y" * (300 - len("x:")))
        data = frame("SUBSCRIBE", {"id": "1", "name": "y" * (301 - len("name:"))})
        for start in range(0, len(data), piece):
            await wire.send(data[start : start + piece])
        await wire.refused("'name:yyyy", "301 bytes", "limit header_line_size of 300")
        await stomp.still_serves()


@pytest.mark.parametrize("piece", [1, 100, 1 << 20])
@pytest.mark.parametrize(
    "data",
    [
        frame("SUBSCRIBE", {f"x{number}": "y" * 100 for number in range(10)}),
        b"SUBSCRIBE\n" + b"x:y\n" * 500,  # and never an end
        b"x" * 2000,
        b"SUBSCRIBE\n" + b"x" * 2000,
    ],
    ids=["whole", "many lines", "one line", "one header"],
)
async def test_headers(open_stomp: Opening, data: bytes, piece: int) -> None:
    async with open_stomp(Limits(headers_size=1000)) as stomp:
        wire = await stomp.connect()
        await wire.log_in(**{f"x{number}": "y" * 90 for number in range(9)})
        for start in range(0, len(data), piece):
            await wire.send(data[start : start + piece])
        await wire.refused("limit headers_size of 1000 bytes")
        await stomp.still_serves()


@pytest.mark.parametrize("logged_in", [True, False])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body(open_stomp: Opening, announced: bool, logged_in: bool) -> None:
    """Whatever its headers have, which have a limit of their own."""
    async with open_stomp(Limits(frame_size=1000)) as stomp:
        for size, fits in ((1000, True), (1001, False), (1_000_000, False)):
            wire = await stomp.connect()
            if logged_in:
                await wire.log_in()
            headers = {"content-length": str(size)} if announced else {}
            async with sending(wire.send, frame("SEND", headers, b"x" * size)):
                if fits:
                    await wire.refused("REST" if logged_in else "CONNECT")
                else:
                    await wire.refused("frame", "limit frame_size of 1000 bytes")
        await stomp.still_serves()


async def test_a_frame_that_does_not_end(open_stomp: Opening) -> None:
    """It is refused when it is too long, not when it is whole; so is one that announces it."""
    async with open_stomp(Limits(frame_size=1000)) as stomp:
        for head in (b"SEND\n\n", b"SEND\ncontent-length:1001\n\n"):
            wire = await stomp.connect()
            await wire.log_in()
            await wire.send(head)
            for _ in range(101):
                await wire.send(b"x" * 10)
            await wire.refused("limit frame_size of 1000 bytes")


async def test_subscriptions_of_a_connection(open_stomp: Opening) -> None:
    async with open_stomp(Limits(subscriptions_per_connection=3)) as stomp:
        wire = await stomp.connect()
        await wire.log_in()
        for number in range(3):
            await wire.subscribe(f"s{number}", TYPES, name=str(number))
        await wire.confirmed("UNSUBSCRIBE", {"id": "1"})
        await wire.subscribe("s3", TYPES, name="3")  # the limit is on those that are open
        destination = destination_of("1.2", "x", TYPES)
        await wire.send(frame("SUBSCRIBE", {"id": "x", "destination": destination, "receipt": "r"}))
        await wire.refused("3 subscriptions", "limit subscriptions_per_connection", receipt="r")
        await stomp.still_serves()


async def test_event_types_of_a_subscription(open_stomp: Opening) -> None:
    async with open_stomp(Limits(event_types_per_subscription=3)) as stomp:
        wire = await stomp.connect()
        await wire.log_in()
        await wire.subscribe("s", {"A": ["1", "2"], "B": ["3"]}, name="s")
        destination = destination_of("1.2", "t", {"A": ["1", "2"], "B": ["3", "4"]})
        await wire.send(frame("SUBSCRIBE", {"id": "t", "destination": destination}))
        await wire.refused("4 event types", "limit event_types_per_subscription of 3")
        await stomp.still_serves()


async def test_connections(open_stomp: Opening) -> None:
    async with open_stomp(Limits(connections=3)) as stomp:
        wires = [await stomp.connect() for _ in range(3)]
        for wire in wires:
            await wire.log_in()
        refused = [await stomp.connect() for _ in range(5)]
        for wire in refused:
            await wire.refused(
                "3 connections are open", "the limit connections", code="service_unavailable"
            )
        # Those that were refused take nobody's place, though they have not closed yet.
        wires[0].abort()
        await stomp.until(lambda: sum(not each.closed for each in stomp.sessions) < 3)
        await (await stomp.connect()).log_in()
        await wires[1].subscribe("s", TYPES)


@pytest.mark.parametrize("begun", [b"", b"\n\n\n", b"CONN", b"CONNECT\nlogin:a\n\n", b"x" * 1000])
async def test_no_connect(open_stomp: Opening, begun: bytes) -> None:
    async with open_stomp(Limits(request_timeout=0.2)) as stomp:
        wire = await stomp.connect()
        await wire.send(begun)
        await wire.refused(
            "no CONNECT within 0.2 seconds",
            "limit request_timeout",
            code="service_unavailable",
        )
        await stomp.still_serves()


async def test_time_in_which_the_server_stands_still_is_none_to_connect(
    open_stomp: Opening,
) -> None:
    async with open_stomp(Limits(request_timeout=0.4)) as stomp:
        wire = await stomp.connect()
        await stomp.until(lambda: stomp.listener.connections == 1)
        await stand_still(1.0)
        await wire.log_in()


async def test_the_time_to_connect_is_no_limit_afterwards(open_stomp: Opening) -> None:
    async with open_stomp(Limits(request_timeout=0.2)) as stomp:
        wire, late = await stomp.connect(), await stomp.connect()
        await wire.log_in()
        await wire.send(b"SUBSCRIBE\n")  # a frame may take its time then
        await late.refused("request_timeout", code="service_unavailable")
        destination = destination_of("1.2", "s", TYPES)
        await wire.send(b"id:1\ndestination:%b\nreceipt:r\n\n\0" % destination)
        assert (await wire.frame()).headers == {"receipt-id": b"r"}


async def test_what_waits_behind_a_frame_waits_in_the_client(open_stomp: Opening) -> None:
    """A SUBSCRIBE that the storage does not answer must not cost the memory of all behind it."""
    async with open_stomp() as stomp:
        wire = await stomp.connect()
        await wire.log_in()
        destination = destination_of("1.2", "s", TYPES)
        async with stomp.store._dispatcher.lock:  # as if the disk had stopped
            await wire.send(frame("SUBSCRIBE", {"id": "1", "destination": destination}))
            large = frame("SEND", {}, b"x" * 500_000)
            flood = asyncio.create_task(wire.send(large * 100))
            done, _ = await asyncio.wait([flood], timeout=0.5)
            assert not done, "the server has read 50 MB behind a SUBSCRIBE"
            [session] = stomp.sessions
            waiting = [each for each in session._waiting if isinstance(each, Frame)]
            assert sum(len(each.body) for each in waiting) < 2_000_000
        await wire.refused("REST")
        wire.abort()
        with contextlib.suppress(ConnectionError):
            await flood
