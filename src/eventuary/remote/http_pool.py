"""Connections that are kept open and shared by all calls of a store.

The one used last is used first, so that those too many grow old and are closed, before the server
closes them (it waits 75 seconds). When as many calls are under way as may be, others wait in order.
"""

import asyncio
import ssl
from collections import deque

from eventuary.remote.address import ServerAddress
from eventuary.remote.http_connection import Answer, HttpConnection
from eventuary.remote.opening import Unreachable, open_connection

#: Seconds after which an unused connection is closed.
_MOST_IDLE = 45.0

#: Seconds between two looks at deadlines.
_LOOK_EVERY = 0.25


class HttpPool:
    """``call`` is the whole of it, until ``close``."""

    def __init__(
        self, address: ServerAddress, tls: ssl.SSLContext | None, most_connections: int
    ) -> None:
        self._address = address
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        #: How many more calls may be under way. A connection is open for each that was, so there
        #: are never more connections than ``most_connections``.
        self._free = most_connections
        #: Turns, and when there is no more waiting for them.
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._idle: list[HttpConnection] = []
        self._busy: set[HttpConnection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next_look = 0.0

    async def call(self, request: bytes, patience: float) -> Answer:
        """Send a request and return its answer.

        ``patience``: seconds for its turn, and for the answer. Raises Unreachable, AnswerLost, or
        ConfigurationError for a server whose certificate is not trusted.
        """
        if self._free:
            self._free -= 1
        else:
            await self._turn(patience)
        try:
            return await self._ask(self._take_idle() or await self._open(), request, patience)
        finally:
            self._release()

    def close(self) -> None:
        """Close all connections. Calls that are under way are lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()

    async def _ask(self, connection: HttpConnection, request: bytes, patience: float) -> Answer:
        busy = self._busy
        busy.add(connection)
        try:
            answer = await connection.ask(request, patience)
        except BaseException:
            connection.close()  # whatever its answer may still be, nobody waits for it
            raise
        finally:
            busy.discard(connection)
        if connection.usable:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _take_idle(self) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def _open(self) -> HttpConnection:
        address = self._address
        connection = await open_connection(
            HttpConnection, address.host, address.http_port, self._tls
        )
        if not connection.usable:
            raise Unreachable("the connection was closed at once")
        if self._timer is None:
            self._look_later()
        return connection

    # Turns

    async def _turn(self, patience: float) -> None:
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((turn, self._loop.time() + patience))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._release()  # it was its turn just as it gave up
            raise

    def _release(self) -> None:
        while self._waiting:
            turn, _ = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    # Time

    def _look_later(self) -> None:
        self._next_look = self._loop.time() + _LOOK_EVERY
        self._timer = self._loop.call_at(self._next_look, self._look_at_deadlines)

    def _look_at_deadlines(self) -> None:
        now = self._loop.time()
        # A look that is late itself judges nobody: the loop was held up, and may have answers that
        # it has not read yet.
        if now < self._next_look + _LOOK_EVERY:
            self._expire(now)
        if self._idle or self._busy or self._waiting:
            self._look_later()
        else:
            self._timer = None

    def _expire(self, now: float) -> None:
        for connection in list(self._busy):
            connection.expire(now)
        while self._waiting and self._waiting[0][1] <= now:
            turn, _ = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(Unreachable("all connections are in use"))
        keep = []
        for connection in self._idle:
            if connection.usable and now - connection.idle_since < _MOST_IDLE:
                keep.append(connection)
            else:
                connection.close()
        self._idle = keep
