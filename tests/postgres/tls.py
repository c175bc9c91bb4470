"""TLS in front of the tests' PostgreSQL, whose build has none.

What a PostgreSQL with TLS does on the wire: it answers an SSLRequest with ``S`` and shakes hands
(PostgreSQL's documentation, "Message Flow", SSL session encryption); what is inside goes on to the
real one.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

#: Length 8, and the code 80877103.
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@contextlib.asynccontextmanager
async def with_tls(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port on which the PostgreSQL at ``port`` speaks TLS, and nothing else."""
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        task.add_done_callback(connections.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await _serve(reader, writer)
        writer.close()

    async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(len(_SSL_REQUEST)) != _SSL_REQUEST:
            return  # it would go on without TLS
        writer.write(b"S")
        await writer.start_tls(context)
        to_database = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(_copy(reader, to_database[1]), _copy(to_database[0], writer))
        finally:
            to_database[1].close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source ends."""
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()
