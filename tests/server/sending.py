"""Sending while the answer is read, as a client that is refused has to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable


@contextlib.asynccontextmanager
async def sending(send: Callable[[bytes], Awaitable[None]], *pieces: bytes) -> AsyncIterator[None]:
    """Send pieces meanwhile, until the client is cut off or nobody is interested any more.

    The server waits only so long for a client that it has refused and that reads nothing.
    """

    async def send_all() -> None:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                await send(piece)
                await asyncio.sleep(0)

    task = asyncio.create_task(send_all())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
