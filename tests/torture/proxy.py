"""A TCP proxy between clients and a server that can stall, dribble, cut, and forget.

Bytes pass in the order in which they came, or no more at all: never changed, never one for another.
It runs in a thread of its own; its methods may be called from any other.
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Self

#: With this, closing a socket sends RST and throws away what waits.
_RESET = struct.pack("ii", 1, 0)

#: Seconds within which a thread or a socket does as it is told.
_PATIENCE = 20.0


class _Link:
    """One client's connection and the one to the server that goes with it."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.client = client
        self.server = server
        #: Bytes that may still pass, in both directions together; None: as many as come.
        self.left: int | None = None
        #: The client's side is gone and the server is not told.
        self.forgotten = False

    def reset(self) -> None:
        """End both sides at once."""
        for _, writer in (self.client, self.server):
            _reset(writer)


class Proxy:
    """Listens on ``port``, and connects each client to ``target`` on this machine."""

    def __init__(self, target: int, seed: str) -> None:
        self.port = 0
        self._target = target
        self._chance = random.Random(f"{seed}/proxy/{target}")
        self._links: set[_Link] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._dribbling = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {target}")

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def stall(self) -> None:
        """Let nothing pass, nor any end of a connection."""
        self._call(self._flowing.clear)

    def dribble(self) -> None:
        """Let everything pass in pieces of a few bytes."""
        self._dribbling = True

    def flow(self) -> None:
        """Let everything pass again; what was forgotten ends now."""
        self._dribbling = False
        self._call(self._heal)

    def cut(self, share: float) -> None:
        """Reset this share of the connections after a few more bytes, wherever that is."""
        self._call(lambda: self._cut(share))

    def forget(self, share: float) -> None:
        """Reset this share of the connections towards their clients; the server learns nothing."""
        self._call(lambda: self._forget(share))

    def _call(self, function: Callable[[], None]) -> None:
        done: Future[None] = Future()

        def calling() -> None:
            function()
            done.set_result(None)

        self._loop.call_soon_threadsafe(calling)
        done.result(_PATIENCE)

    def _some(self, share: float) -> list[_Link]:
        return [each for each in self._links if self._chance.random() < share]

    def _heal(self) -> None:
        for link in self._links:
            if link.forgotten:
                link.reset()
        self._flowing.set()

    def _cut(self, share: float) -> None:
        for link in self._some(share):
            link.left = self._chance.choice((0, 1, 20, 300, 5000))
            self._loop.call_later(0.2, link.reset)  # should it carry nothing meanwhile

    def _forget(self, share: float) -> None:
        for link in self._some(share):
            link.forgotten = True
            _reset(link.client[1])

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for link in self._links:
            link.reset()
        self._flowing.set()
        if self._pumps:
            await asyncio.wait(self._pumps)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        link = _Link((reader, writer), server)
        self._links.add(link)
        for each in (writer, server[1]):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink in ((reader, server[1]), (server[0], writer)):
            task = self._loop.create_task(self._pump(link, source, sink))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(
        self, link: _Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        """Carry one direction until it ends; then both end."""
        try:
            while data := await source.read(65_536):
                await self._flowing.wait()
                if link.left is not None:
                    data, link.left = data[: link.left], link.left - min(len(data), link.left)
                await self._write(sink, data)
                if link.left == 0:
                    break
        except OSError:
            pass
        if link.forgotten and source is link.client[0]:
            return  # the server's side stays
        await self._flowing.wait()
        self._links.discard(link)
        if link.left == 0:
            link.reset()
        for _, writer in (link.client, link.server):
            writer.close()

    async def _write(self, sink: asyncio.StreamWriter, data: bytes) -> None:
        if not self._dribbling:
            sink.write(data)
            await sink.drain()
            return
        at = 0
        while at < len(data):
            size = self._chance.randint(1, 60)
            sink.write(data[at : at + size])
            await sink.drain()
            await asyncio.sleep(0)
            at += size


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
