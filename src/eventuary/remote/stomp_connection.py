"""One STOMP 1.2 connection, which carries one subscription.

Frames that are to be sent are gathered and written once in each turn of the loop; receipts are
matched with what asked for them, in the order in which everything arrives. The server's heart-beats
are watched: a connection over which nothing comes is broken, whatever TCP believes.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from eventuary.errors import EventuaryError, ServiceUnavailable
from eventuary.limits import Limits
from eventuary.remote.refusals import refusal
from eventuary.stomp_frames import Frame, FrameError, FrameParser

#: A server's limits do not bind what it sends: a MESSAGE may be several times the event it holds.
_LIMITS = Limits(
    header_line_size=1024 * 1024, headers_size=4 * 1024 * 1024, frame_size=512 * 1024 * 1024
)

#: How many intervals between two heart-beats may pass without any byte.
_MISSED_BEATS = 2


class Listener(Protocol):
    """Whoever gets what arrives, from ``start`` on."""

    def message(self, frame: Frame) -> None:
        """Take a MESSAGE. Raises FrameError."""

    def messages_end(self) -> None:
        """No more has arrived for now."""

    def lost(self, connection: "StompConnection", reason: EventuaryError) -> None:
        """The connection is gone, for a reason that the server gave, or ServiceUnavailable."""


class StompConnection(asyncio.Protocol):
    """Opened by ``Line``. Until ``start``, messages are kept, and a loss is told to nobody."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = FrameParser(_LIMITS)
        self._transport: asyncio.Transport
        self._listener: Listener | None = None
        self._early: list[Frame] = []
        self._connected: asyncio.Future[Frame] = self._loop.create_future()
        #: What is done when a receipt arrives, or, with a reason, when it never will.
        self._receipts: dict[bytes, Callable[[EventuaryError | None], None]] = {}
        self._numbers = 0
        self._out: list[bytes] = []
        self._paused = False
        #: How many wait for something that only reading brings.
        self._waiting = 0
        self._reading = True
        self._heard_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._lost_because: EventuaryError | None = None

    # What is sent

    def send(self, frames: bytes) -> None:
        """Send whole frames, in this turn of the loop."""
        if not self._out:
            self._loop.call_soon(self._write)
        self._out.append(frames)

    def send_noting(self, frame: bytes, then: Callable[[EventuaryError | None], None]) -> None:
        """Send a frame, given without the blank line, and let ``then`` run at its receipt.

        It runs before anything is handed on that arrives behind the receipt; with a reason if the
        connection is lost first.
        """
        self._numbers += 1
        receipt = b"%d" % self._numbers
        self._receipts[receipt] = then
        self.send(b"%breceipt:%b\n\n\x00" % (frame, receipt))

    async def request(self, frame: bytes) -> None:
        """Send a frame, given without the blank line, and wait for its receipt, reading on.

        Raises the reason for which the connection was lost.
        """
        if self._lost_because is not None:
            raise self._lost_because
        done: asyncio.Future[None] = self._loop.create_future()

        def settle(reason: EventuaryError | None) -> None:
            if done.done():
                return
            if reason is None:
                done.set_result(None)
            else:
                done.set_exception(reason)

        self.send_noting(frame, settle)
        self._waiting += 1
        self._regulate()
        try:
            await done
        finally:
            self._waiting -= 1
            self._regulate()

    async def connect(self, frame: bytes) -> Frame:
        """Send CONNECT and return CONNECTED. Raises what the server answers otherwise."""
        self.send(frame)
        return await self._connected

    def _write(self) -> None:
        out, self._out = self._out, []
        if not self._transport.is_closing():
            self._transport.write(b"".join(out))

    # What is read

    def start(self, listener: Listener) -> None:
        """Hand on what has come, and from now on what comes."""
        self._listener = listener
        early, self._early = self._early, []
        try:
            for frame in early:
                listener.message(frame)
        except FrameError as error:
            self._break(str(error))
        listener.messages_end()
        if self._lost_because is not None:
            listener.lost(self, self._lost_because)

    def pause(self) -> None:
        """Read no more, unless somebody waits for a receipt."""
        self._paused = True
        self._regulate()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self._regulate()

    def expect_heart_beats(self, interval: float) -> None:
        """The server has promised to send something every so many seconds."""
        due = self._loop.time() + interval
        self._watch = self._loop.call_at(due, self._check_heard, interval, due)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _regulate(self) -> None:
        reading = not self._paused or self._waiting > 0
        if reading == self._reading or self._transport.is_closing():
            return
        self._reading = reading
        if reading:
            self._heard_at = self._loop.time()  # beats are read from now on
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _check_heard(self, interval: float, due: float) -> None:
        now = self._loop.time()
        silence = now - self._heard_at
        # A check that is late itself judges nothing: the loop was held up, and may have bytes that
        # it has not read yet.
        late = now - due > interval / 2
        if self._reading and not late and silence > interval * _MISSED_BEATS:
            self._break(f"the server was not heard for {silence:.1f} seconds")
        else:
            self.expect_heart_beats(interval)

    def _break(self, reason: str) -> None:
        if self._lost_because is None:
            self._lost_because = ServiceUnavailable(reason)
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._heard_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Hand on what is whole."""
        self._heard_at = self._loop.time()
        if self._lost_because is not None:
            return
        listener = self._listener
        try:
            for frame in self._parser.feed(data):
                if frame.command == "MESSAGE":
                    if listener is None:
                        self._early.append(frame)
                    else:
                        listener.message(frame)
                else:
                    self._take(frame)
        except FrameError as error:
            self._break(str(error))
        if listener is not None:
            listener.messages_end()

    def _take(self, frame: Frame) -> None:
        if frame.command == "RECEIPT":
            then = self._receipts.pop(frame.headers.get("receipt-id", b""), None)
            if then is not None:
                then(None)
        elif frame.command == "CONNECTED":
            if not self._connected.done():
                self._connected.set_result(frame)
        elif frame.command == "ERROR":
            self._lost_because = refusal(frame)
            self._transport.abort()
        else:
            raise FrameError(f"the server sent {frame.command[:40]!r}")

    def connection_lost(self, error: Exception | None) -> None:
        """Tell all who wait, and the listener."""
        if self._watch is not None:
            self._watch.cancel()
        if self._lost_because is None:
            self._lost_because = ServiceUnavailable(
                f"the connection broke: {error}" if error else "the connection was closed"
            )
        reason = self._lost_because
        if not self._connected.done():
            self._connected.set_exception(reason)
            self._connected.exception()  # whoever waited for it may be gone
        receipts, self._receipts = self._receipts, {}
        for then in receipts.values():
            then(reason)
        if self._listener is not None:
            self._listener.lost(self, reason)
