"""What a server sends that is no frame: the frames before it count all the same."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from eventuary.errors import ServiceUnavailable
from eventuary.remote.stomp_connection import StompConnection

#: What answers each frame that asks for a receipt: it, and what is none, in one segment.
_RECEIPT_AND_RUBBISH = b"RECEIPT\nreceipt-id:1\n\n\x00rubbish\x00"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert b"\nreceipt:1\n" in await reader.readuntil(b"\x00")
    writer.write(_RECEIPT_AND_RUBBISH)
    await reader.read()
    writer.close()


@pytest.fixture
async def connection() -> AsyncIterator[StompConnection]:
    """A connection to a server that knows only one answer."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        _, opened = await loop.create_connection(StompConnection, "127.0.0.1", port)
        yield opened
        opened.abort()


async def test_a_receipt_before_rubbish_is_taken(connection: StompConnection) -> None:
    async with asyncio.timeout(10):
        await connection.request(b"UNSUBSCRIBE\nid:1\n")
        with pytest.raises(ServiceUnavailable, match="blank line is missing"):
            await connection.request(b"UNSUBSCRIBE\nid:2\n")
