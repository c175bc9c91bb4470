"""A client that takes its messages slowly, or not at all: it costs bounded memory, slows only
itself, and is cut when it takes nothing for too long.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

from eventuary.limits import Limits
from eventuary.server.stomp.websocket import _Conversation as Conversation
from tests.server.standing_still import stand_still
from tests.server.stomp.conftest import Opening, StompSide
from tests.server.stomp.wire import DEADLINE, Wire, frame

TYPES = {"Order": ["Ordered"]}

#: Bytes of an event's data, how many there are (far more than kernels keep for a connection), and
#: how many of them are of one entity.
SIZE = 100_000
NUMBER = 160
EACH = 10


async def append_many(stomp: StompSide) -> None:
    for first in range(0, NUMBER, EACH):
        numbers = range(first, first + EACH)
        await stomp.append(f"e{first}", *(f"{number:06}" + "x" * SIZE for number in numbers))


async def stalled(stomp: StompSide, subscriber_id: str, ack: str | None = None) -> Wire:
    """Return a connection that has subscribed and reads no more."""
    wire = await stomp.connect(receive_buffer=16 * 1024)
    await wire.log_in()
    await wire.subscribe(subscriber_id, TYPES, ack=ack)
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's is one
    return wire


def waiting_bytes(stomp: StompSide) -> int:
    """How much the server holds for all its clients."""
    return sum(
        session.wire._transport.get_write_buffer_size()  # type: ignore[attr-defined]
        for session in stomp.sessions
    )


@contextlib.asynccontextmanager
async def the_most_waiting(stomp: StompSide) -> AsyncIterator[list[int]]:
    """Look again and again how many bytes wait; the most is in the list."""
    most = [0]

    async def look() -> None:
        while True:
            most[0] = max(most[0], waiting_bytes(stomp))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    try:
        yield most
    finally:
        looking.cancel()


async def take_all(wire: Wire) -> None:
    """Read and acknowledge all: none is missing, and those of an entity are in order."""
    numbers = []
    for _ in range(NUMBER):
        message = await wire.message()
        await wire.send(frame("ACK", {"id": message.ack}))
        numbers.append(int(message.body["eventData"][:6]))
    in_order = sorted(numbers, key=lambda number: number // EACH)  # which leaves them in order
    assert in_order == list(range(NUMBER))


async def test_it_slows_only_itself_and_costs_bounded_memory(stomp: StompSide) -> None:
    slow = await stalled(stomp, "slow")
    fast = await stomp.connect()
    await fast.log_in()
    await fast.subscribe("fast", TYPES)
    async with the_most_waiting(stomp) as most:
        appending = asyncio.create_task(append_many(stomp))
        await take_all(fast)
        await appending
        # Of 16 MB: a batch and what was below the mark before it, for each of the two. The slow one
        # is over the mark: how far, depends on what the kernel took of its last batch.
        assert 64 * 1024 < most[0] < 2 * (64 * 1024 + 256 * 1024 + 2 * SIZE)
    # When it reads again it gets everything, however late.
    slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
    await take_all(slow)
    await stomp.until_acknowledged(2 * NUMBER)


async def test_it_costs_as_little_when_it_reads_the_past(stomp: StompSide) -> None:
    await append_many(stomp)
    async with the_most_waiting(stomp) as most:
        wires = [await stalled(stomp, f"slow {number}") for number in range(5)]
        await stomp.until(lambda: all(session.full for session in stomp.sessions))
        assert 5 * 64 * 1024 < most[0] < 5 * (64 * 1024 + 256 * 1024 + 2 * SIZE)
        assert stomp.store.statistics.deliveries < 5 * NUMBER / 2
    wires[0].writer.transport.resume_reading()  # type: ignore[attr-defined]
    await take_all(wires[0])
    await stomp.still_serves()


async def test_what_waits_for_it_is_not_acknowledged(open_stomp: Opening) -> None:
    """With ``auto``, what was not even written is delivered to the next one."""
    async with open_stomp() as stomp:
        await append_many(stomp)
        wire = await stalled(stomp, "s", ack="auto")
        await stomp.until(lambda: all(session.full for session in stomp.sessions))
        written = stomp.store.statistics.acknowledgements
        assert 0 < written < NUMBER / 2
        wire.abort()
        await stomp.until_alone()
        again = await stomp.connect()
        await again.log_in()
        await again.subscribe("s", TYPES, ack="auto")
        await again.messages(NUMBER - written)


async def test_one_that_takes_nothing_is_cut(open_stomp: Opening) -> None:
    async with open_stomp(Limits(write_timeout=0.3)) as stomp:
        await append_many(stomp)
        await stalled(stomp, "s")
        other = await stomp.connect()
        await other.log_in()
        await other.subscribe("s", TYPES)
        # Its swimlanes move to the other, who gets what was sent to it in vain.
        await take_all(other)
        assert stomp.listener.connections == 1
        await stomp.still_serves()


async def test_one_that_takes_nothing_from_a_server_that_stands_still_is_not_cut(
    open_stomp: Opening,
) -> None:
    async with open_stomp(Limits(write_timeout=0.4)) as stomp:
        await append_many(stomp)
        wire = await stalled(stomp, "s")
        await stomp.until(lambda: all(session.full for session in stomp.sessions))
        await stand_still(1.0)
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await take_all(wire)
        assert stomp.listener.connections == 1


class Browser:
    """A WebSocket, as the server sees it: whether it takes what is sent, the test says."""

    client = None

    def __init__(self) -> None:
        self.offered = asyncio.Event()
        self.taking = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()  # it sends nothing
        raise AssertionError

    async def send_text(self, _: str) -> None:
        self.offered.set()
        await self.taking.wait()


@contextlib.asynccontextmanager
async def conversing(
    stomp: StompSide, browser: Browser
) -> AsyncIterator[tuple[Conversation, asyncio.Task[None]]]:
    """Offer something to a browser."""
    conversation = Conversation(browser, stomp.listener)  # type: ignore[arg-type]  # enough of it
    running = asyncio.create_task(conversation.run())
    conversation.write(b"one")
    async with asyncio.timeout(DEADLINE):
        await browser.offered.wait()
    yield conversation, running
    running.cancel()
    await asyncio.wait([running])


async def test_a_browser_that_takes_nothing_is_cut(open_stomp: Opening) -> None:
    async with (
        open_stomp(Limits(write_timeout=0.3)) as stomp,
        conversing(stomp, Browser()) as (_, running),
        asyncio.timeout(DEADLINE),
    ):
        await running


async def test_a_browser_is_not_cut_because_the_server_stands_still(open_stomp: Opening) -> None:
    browser = Browser()
    async with (
        open_stomp(Limits(write_timeout=0.4)) as stomp,
        conversing(stomp, browser) as (conversation, running),
    ):
        await stand_still(1.0)
        assert not running.done()
        browser.offered.clear()
        browser.taking.set()
        conversation.write(b"two")
        async with asyncio.timeout(DEADLINE):
            await browser.offered.wait()


async def reading_slowly(stomp: StompSide) -> Wire:
    """Return a connection that is full, with 8 MB to come in one message; kernels keep little."""
    await stomp.append("a", "x" * 8_000_000)
    wire = await stomp.connect(receive_buffer=16 * 1024)
    await wire.log_in()
    [session] = stomp.sessions
    connection = session.wire._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    await wire.subscribe("s", TYPES)
    await stomp.until(lambda: session.full)
    return wire


async def read_slowly(wire: Wire, seconds: float) -> bytes:
    """Read for so long, at a rate at which the 8 MB take longer."""
    received = b""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        received += await wire.reader.read(16 * 1024)
        await asyncio.sleep(0.02)
    assert len(received) < 7_000_000
    return received


async def test_one_that_takes_its_messages_slowly_is_not_cut(open_stomp: Opening) -> None:
    """Its connection is full for longer than the time-out, but it does take bytes."""
    limits = Limits(write_timeout=0.5, event_data_size=10_000_000)
    async with open_stomp(limits) as stomp:
        wire = await reading_slowly(stomp)
        received = await read_slowly(wire, 1.5)
        [session] = stomp.sessions
        assert session.full
        async with asyncio.timeout(DEADLINE):
            while not received.endswith(b"\0"):
                received += await wire.reader.read(1 << 20)
        assert b"x" * 8_000_000 in received
        assert stomp.listener.connections == 1


async def test_the_last_frames_reach_one_that_reads_slowly(open_stomp: Opening) -> None:
    """What it asked for with DISCONNECT is behind megabytes that it has not read yet."""
    async with open_stomp(Limits(event_data_size=10_000_000)) as stomp:
        wire = await reading_slowly(stomp)
        await wire.send(frame("DISCONNECT", {"receipt": "bye"}))
        await stomp.until(lambda: not stomp.store.consumers)
        received = await read_slowly(wire, 2.5)  # longer than it may take for closing its side
        async with asyncio.timeout(DEADLINE):
            received += await wire.reader.read()
        assert received.endswith(b"\0RECEIPT\nreceipt-id:bye\n\n\0")
