"""Clients that mean no good: each of these is one of them, and ends when the server has had enough.

Those that hold on to their connection do so until ``released``: it is the server that must end it.
"""

import asyncio
import contextlib
import random
import re
import socket
from collections.abc import AsyncIterator

from tests.torture.valid_traffic import connect, find, subscribe

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")

#: Seconds that a client waits for an answer before it goes.
_CURIOSITY = 0.1

#: Seconds for anything that must happen.
_PATIENCE = 30.0


@contextlib.asynccontextmanager
async def _connected(
    port: int, receive_buffer: int | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    plain = socket.socket()
    plain.setblocking(False)
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        async with asyncio.timeout(_PATIENCE):
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
    except BaseException:
        plain.close()
        raise
    reader, writer = await asyncio.open_connection(sock=plain)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def throw(port: int, data: bytes, chance: random.Random, opening: bytes = b"") -> bytes:
    """Send bytes, in one piece or in several, and return what comes back before long.

    ``opening``: a request to be sent, and answered with a head alone, before that.
    """
    answer = b""
    # The server may be tired of a client that has stood still before it has said anything.
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        async with _connected(port) as (reader, writer):
            if opening:
                writer.write(opening)
                async with asyncio.timeout(_PATIENCE):
                    await reader.readuntil(b"\r\n\r\n")
            at = 0
            while at < len(data):
                size = len(data) if chance.random() < 0.5 else chance.randint(1, len(data))
                writer.write(data[at : at + size])
                await writer.drain()
                at += size
                if chance.random() < 0.2:
                    await asyncio.sleep(0)
            if chance.random() < 0.3:
                with contextlib.suppress(OSError):  # it has been ended already
                    writer.write_eof()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CURIOSITY):
                    while part := await reader.read(65_536):
                        answer += part
    return answer


def check_answer(data: bytes, answer: bytes) -> None:
    """Whatever was sent, it is the sender's fault: no answer may say that it is the server's."""
    found = _STATUS.match(answer)
    assert found is None or found[1] != b"500", f"{data!r} was answered {answer!r}"
    assert b"an unexpected error" not in answer, f"{data!r} was answered {answer!r}"


async def come_and_go(port: int) -> None:
    """Connect, and be gone."""
    with contextlib.suppress(ConnectionError):
        async with _connected(port):
            pass


async def hold(port: int, data: bytes, released: asyncio.Event) -> None:
    """Send the beginning of something, and then nothing more."""
    with contextlib.suppress(ConnectionError):
        async with _connected(port) as (_, writer):
            writer.write(data)
            await released.wait()


async def drip(port: int, data: bytes, released: asyncio.Event) -> None:
    """Send a byte at a time, slowly, and without an end."""
    with contextlib.suppress(ConnectionError):
        async with _connected(port) as (_, writer):
            at = 0
            while not released.is_set():
                writer.write(data[at : at + 1] or b"x")
                await writer.drain()
                at += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(released.wait(), 0.1)


async def ask_and_never_read(port: int, space: str, released: asyncio.Event) -> None:
    """Ask for much over HTTP, again and again, and take none of it."""
    await _never_read(port, find(space, "big") * 20, released)


async def subscribe_and_never_read(
    port: int, subscriber_id: str, space: str, released: asyncio.Event
) -> None:
    """Subscribe to much, and take none of it."""
    await _never_read(port, connect() + subscribe(subscriber_id, space), released)


async def _never_read(port: int, data: bytes, released: asyncio.Event) -> None:
    with contextlib.suppress(ConnectionError):
        async with _connected(port, receive_buffer=4096) as (_, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's has it
            writer.write(data)
            await released.wait()
