"""A hop between a driver and its server that ends the connection at a chosen command.

It reads MongoDB's messages as far as the commands' names, so that what drivers ask by themselves,
whenever they like, about the server's state is not counted.
"""

import asyncio
import contextlib
import struct
from types import TracebackType
from typing import NamedTuple, Self

#: Length, request id, id of the request that is answered, and what kind of message it is.
_HEADER = struct.Struct("<iiii")

#: The present kind of message: flags, the kind of a section, and a document: its length, the type
#: of its first field, and that field's name.
_OP_MSG = 2013
_BEFORE_NAME = 4 + 1 + 4 + 1

#: Asked by connections when they are new, and by those that watch.
_STATE = {"hello", "ismaster", "isMaster"}


class Cut(NamedTuple):
    """Where to cut: at the command after so many.

    ``heard``: whether the server gets it, and its answer is lost. ``for_good``: nothing passes any
    more, as if the process of the driver had ended.
    """

    after: int
    heard: bool
    for_good: bool = False


class CommandProxy:
    """Listens on ``port`` while ``async with`` lasts, in front of ``target``."""

    def __init__(self, target: int) -> None:
        self.port = 0
        #: The names of the commands that have come.
        self.commands: list[str] = []
        #: Set by a test, counted in ``commands``.
        self.cut: Cut | None = None
        #: Set when the cut has happened.
        self.was_cut = asyncio.Event()
        self._target = target
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
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
                writers.append(to_server)
                while await self._exchange(reader, writer, server, to_server):
                    pass
        finally:
            for each in writers:
                each.transport.abort()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> bool:
        """Pass a command and its answer; return whether the connection goes on."""
        request = await _message(reader)
        if self._is_over():
            return False
        is_cut = self._is_cut(request)
        if is_cut and self.cut is not None and not self.cut.heard:
            self.was_cut.set()
            return False
        to_server.write(request)
        answer = await _message(server)
        if is_cut:
            self.was_cut.set()
            return False
        if self._is_over():
            return False
        writer.write(answer)
        await writer.drain()
        return True

    def _is_over(self) -> bool:
        return self.was_cut.is_set() and self.cut is not None and self.cut.for_good

    def _is_cut(self, request: bytes) -> bool:
        """Count a command; return whether it is the one to be cut at."""
        name = _name(request)
        if name is None:
            return False
        self.commands.append(name)
        return self.cut is not None and len(self.commands) == self.cut.after + 1


async def _message(reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(_HEADER.size)
    length = _HEADER.unpack(header)[0]
    return header + await reader.readexactly(length - _HEADER.size)


def _name(message: bytes) -> str | None:
    """Return the name of the command; None when it asks for the server's state."""
    if _HEADER.unpack_from(message)[3] != _OP_MSG:
        return None  # the first message of a connection has the old form
    start = _HEADER.size + _BEFORE_NAME
    name = message[start : message.index(b"\0", start)].decode()
    return None if name in _STATE else name
