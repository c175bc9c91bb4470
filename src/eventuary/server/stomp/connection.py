"""A STOMP connection over TCP or TLS: bytes to a session and back, within the limits."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from eventuary.server.countdown import Countdown
from eventuary.server.sockets import address_of
from eventuary.server.stomp.session import Session, State

if TYPE_CHECKING:
    from eventuary.server.stomp.listener import StompListener

_log = logging.getLogger("eventuary.stomp")

#: Bytes that may wait for the client before its deliveries pause.
_HIGH_WATER = 64 * 1024

#: Seconds that a client has for closing its side before its connection is cut.
_LINGER = 2.0

#: Seconds of silence after which the kernel asks whether the client is still there.
_KEEP_ALIVE_IDLE = 60


class StompConnection(asyncio.Protocol):
    """Satisfies ``Wire``. A dead peer is found by TCP keep-alive and by the write time-out."""

    def __init__(self, listener: "StompListener") -> None:
        self._listener = listener
        self._limits = listener.limits
        self._transport: asyncio.Transport
        self._timer: Countdown | None = None
        self._finishing = False
        self._ended = False
        #: Bytes written; those of them that the kernel has taken, when that was looked at last.
        self._written = 0
        self._taken = 0
        self.session: Session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a session, unless there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        _keep_alive(transport.get_extra_info("socket"))
        self.session = self._listener.begin(self)
        if self.session.state is State.AWAITING_CONNECT:
            self._restart_timer(self._limits.request_timeout, self.session.check_connected)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the session."""
        if not self._finishing:
            self.session.receive(data)

    def eof_received(self) -> bool:
        """The client sends no more: let it have the answers to what it has sent, then close."""
        if self._finishing:
            return False
        if not self._transport.can_write_eof():  # TLS has no half-closed connections
            self.session.close()
            return False
        self._ended = True
        self.session.receive_end()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """End the session."""
        if self._timer is not None:
            self._timer.cancel()
        self._listener.end(self.session)

    def pause_writing(self) -> None:
        """The client does not take its messages: pause, and cut it if that lasts."""
        self.session.pause()
        if not self._finishing:
            self._abort_unless_taking(self._limits.write_timeout)

    def resume_writing(self) -> None:
        """The client takes its messages again."""
        if not self._finishing:
            if self._timer is not None:
                self._timer.cancel()
            self.session.resume()

    # As the session's wire

    @property
    def peer(self) -> str:
        """The client's address."""
        return address_of(self._transport.get_extra_info("peername"))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._finishing and not self._transport.is_closing():
            self._written += len(data)
            self._transport.write(data)

    def finish(self) -> None:
        """Send what is written, and close once the client has had the time to read it."""
        if self._finishing or self._transport.is_closing():
            return
        self._finishing = True
        if self._transport.can_write_eof() and not self._ended:
            # Closing with bytes unread would take the last frame from the client.
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()
        self._abort_unless_taking(_LINGER)

    def pause_reading(self) -> None:
        """Read no more for now."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _restart_timer(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = Countdown(seconds, then)

    def _abort_unless_taking(self, seconds: float) -> None:
        """Cut the connection when the client takes no more bytes for so long."""
        self._taken = self._written - self._transport.get_write_buffer_size()
        self._restart_timer(seconds, lambda: self._look_whether_taking(seconds))

    def _look_whether_taking(self, seconds: float) -> None:
        waiting = self._transport.get_write_buffer_size()
        if waiting and self._written - waiting > self._taken:
            self._abort_unless_taking(seconds)
        else:
            self._transport.abort()


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE_IDLE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
