"""A TCP hop on this machine that does to a chosen exchange what networks do to any.

An exchange is what a client sends until it is answered, and the answer. Faults are taken by the
exchanges in the order in which they begin; without one, everything passes.
"""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self

#: With this, closing a socket sends RST instead of FIN.
_RESET = struct.pack("ii", 1, 0)


class Fault(NamedTuple):
    """The connection ends after ``passing`` bytes of the request, or else of the answer.

    ``first`` is awaited before it ends; then the client has had no answer, and the server has, or
    has not, carried out the request. ``instead``: what the client gets, before it ends, in place of
    the rest of the answer.
    """

    of_request: bool
    passing: int
    first: Callable[[], Awaitable[object]] | None = None
    reset: bool = False
    instead: bytes = b""


class _Link:
    """One client's connection, and the one to the server that goes with it."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.writers = writers
        #: Of the exchange under way.
        self.fault: Fault | None = None
        self.answered = True
        self.left = 0

    def end(self, *, reset: bool) -> None:
        for writer in self.writers:
            if reset:
                connection = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):  # it is closed already
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class Proxy:
    """Listens on ``port`` while ``async with`` lasts, in front of ``target``."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.faults: deque[Fault] = deque()
        #: Exchanges begun, connections accepted, and bytes that have passed to clients.
        self.exchanges = 0
        self.connections = 0
        self.bytes_to_clients = 0
        self._target = target
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """End all connections."""
        for link in list(self._links):
            link.end(reset=False)
        self._links.clear()

    def freeze(self) -> None:
        """Let nothing pass from now on; connections stay open."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything pass again."""
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        for pump in (self._to_server(link, reader), self._to_client(link, server_reader)):
            task = asyncio.get_running_loop().create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _to_server(self, link: _Link, source: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                await self._flowing.wait()
                if link.answered:
                    link.answered = False
                    self.exchanges += 1
                    link.fault = self.faults.popleft() if self.faults else None
                    link.left = link.fault.passing if link.fault else 0
                await self._pass(link, data, link.writers[1], request=True)
        link.end(reset=False)

    async def _to_client(self, link: _Link, source: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                await self._flowing.wait()
                link.answered = True
                self.bytes_to_clients += len(data)
                await self._pass(link, data, link.writers[0], request=False)
        await self._flowing.wait()
        link.end(reset=False)
        self._links.discard(link)

    async def _pass(
        self, link: _Link, data: bytes, sink: asyncio.StreamWriter, *, request: bool
    ) -> None:
        fault = link.fault
        if fault is None or fault.of_request is not request:
            sink.write(data)
            await sink.drain()
            return
        sink.write(data[: link.left])
        await sink.drain()
        link.left -= len(data)
        if link.left <= 0:
            if fault.first is not None:
                await fault.first()
            if fault.instead:
                sink.write(fault.instead)
                await sink.drain()
                sink.close()  # behind what is written
                return
            link.end(reset=fault.reset)
