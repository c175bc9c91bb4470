"""One STOMP connection's conversation, whatever carries its bytes (protocol.md, section 3).

States: awaiting CONNECT; refused, or connected; closed. Acknowledgements are taken at once; a frame
that must wait for the store (SUBSCRIBE, UNSUBSCRIBE, DISCONNECT) makes those behind it wait too, so
that all are carried out in the order in which they came. A frame that can't be carried out is
answered with ERROR, and the conversation ends.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from enum import Enum, auto
from uuid import uuid4

from eventuary.errors import (
    BadRequest,
    EventuaryError,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
)
from eventuary.limits import Limits
from eventuary.server.principal import Authenticator, LoginFailed, Principal
from eventuary.server.stomp.answering import Answering
from eventuary.server.stomp.connecting import (
    log_in,
    newest_of,
    offered_versions,
    wanted_heart_beat,
)
from eventuary.server.stomp.heart_beat import HeartBeat
from eventuary.server.stomp.subscribing import Store, Subscribed
from eventuary.server.stomp.subscriptions import Subscriptions
from eventuary.server.stomp.wire import Wire
from eventuary.stomp_frames import (
    Frame,
    FrameError,
    FrameParser,
    Version,
    escape,
    write_frame,
)
from eventuary.version import __version__

_log = logging.getLogger("eventuary.stomp")

#: Seconds between a bad login and its answer.
_REFUSAL_PAUSE = 1.0

#: What a client means that has closed its side.
_GOODBYE = Frame("DISCONNECT", {})

_REST_INSTEAD = "is not how to write here: create and update entities by REST, POST /entity/{space}"


class State(Enum):
    """Where the conversation stands."""

    AWAITING_CONNECT = auto()
    REFUSED = auto()  #: a bad login, which is not told yet
    CONNECTED = auto()
    CLOSED = auto()


class Session:
    """Give it what arrives (``receive``); tell it when the wire is full (``pause``), has room
    (``resume``), or is gone (``close``). ``leaving`` is done when nothing of it is left.
    """

    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        limits: Limits,
        wire: Wire,
        numbers: Iterator[int],
    ) -> None:
        self.store = store
        self.limits = limits
        self.wire = wire
        self.state = State.AWAITING_CONNECT
        self.version = Version.V10
        self.principal: Principal | None = None
        self.full = False
        self._authenticator = authenticator
        self._parser = FrameParser(limits)
        self._heart_beat: HeartBeat | None = None
        self._refusal: asyncio.TimerHandle | None = None
        self.subscriptions = Subscriptions(self, numbers)
        self._answering = Answering(self)
        self._waiting: deque[Frame | FrameError] = deque()
        self._worker: asyncio.Task[None] | None = None
        self.leaving: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        """Whether the conversation is over."""
        return self.state is State.CLOSED

    @property
    def connected(self) -> bool:
        """Whether the client is logged in, and still there."""
        return self.state is State.CONNECTED

    def _listens(self) -> bool:
        """Whether what the client sends counts."""
        return self.state in (State.AWAITING_CONNECT, State.CONNECTED)

    # ── What happens to the wire ──────────────────────────────────────────────────────────────

    def receive(self, data: bytes) -> None:
        """Take bytes."""
        if not self._listens():
            return
        try:
            for frame in self._parser.feed(data):
                self._take(frame)
                if not self._listens():
                    return
        except FrameError as error:
            self._take(error)

    def _take(self, arrived: Frame | FrameError) -> None:
        """Handle a frame, or what is none, when all that came before it is carried out."""
        if self._worker is not None:
            # What came with it waits in memory; what comes later waits in the client.
            self.wire.pause_reading()
            self._waiting.append(arrived)
        else:
            self._handle(arrived)

    def receive_end(self) -> None:
        """No more bytes will come: carry out what has come, then end the conversation."""
        if self.state is State.AWAITING_CONNECT:
            self.close()
            self.wire.finish()
        elif self._worker is not None:
            self._waiting.append(_GOODBYE)
        elif self.state is State.CONNECTED:
            self._handle(_GOODBYE)

    def check_connected(self) -> None:
        """End the conversation if it has not begun: ``request_timeout`` has passed."""
        if self.state is State.AWAITING_CONNECT:
            self.fail(
                ServiceUnavailable(
                    f"no CONNECT within {self.limits.request_timeout:g} seconds, the limit "
                    "request_timeout"
                )
            )

    def pause(self) -> None:
        """The wire is full."""
        self.full = True
        self.subscriptions.pause()

    def resume(self) -> None:
        """The wire has room."""
        self.full = False
        if self.state is not State.CLOSED:
            self.subscriptions.resume()

    async def _leave(self) -> None:
        """Leave all subscriptions: others get their swimlanes, however long the wire lingers."""
        if self._worker is not None:
            await asyncio.wait([self._worker])  # what it is about to leave, it must leave
        await self._answering.settle()
        await self.subscriptions.leave()

    def fail(
        self, error: EventuaryError | FrameError, frame: Frame | None = None, more: bytes = b""
    ) -> None:
        """Answer with ERROR, and end the conversation."""
        if self.state is State.CLOSED:
            return
        message = str(error)
        code = error.code if isinstance(error, EventuaryError) else BadRequest.code
        headers = {
            "message": escape(message, self.version),
            "error": code.encode(),
            "content-type": b"text/plain",
        }
        if frame is not None and "receipt" in frame.headers:
            headers["receipt-id"] = frame.headers["receipt"]
        if more:
            headers["version"] = more
        self.write(write_frame("ERROR", headers, message.encode("utf-8", "replace")))
        self.close()
        self.wire.finish()

    def write(self, data: bytes) -> None:
        """Send bytes; the next heart-beat is due later."""
        if self._heart_beat is not None:
            self._heart_beat.sent()
        self.wire.write(data)

    def close(self) -> None:
        """End the conversation without a word."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._waiting.clear()
        # Nothing is written any more: nothing may count as delivered.
        self.pause()
        if self._heart_beat is not None:
            self._heart_beat.stop()
        if self._refusal is not None:
            self._refusal.cancel()
        self.leaving = asyncio.get_running_loop().create_task(self._leave())

    # ── Frames ────────────────────────────────────────────────────────────────────────────────

    def _handle(self, frame: Frame | FrameError) -> None:
        if isinstance(frame, FrameError):
            self.fail(frame)
            return
        try:
            command = frame.command
            if command in ("ACK", "NACK") and self.state is State.CONNECTED:
                self._answering.take(frame)
            elif command in ("CONNECT", "STOMP"):
                self._connect(frame)
            elif self.state is State.AWAITING_CONNECT:
                raise FrameError(f"the first frame must be CONNECT, not {command[:40]!r}")
            elif command in ("SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT"):
                self._worker = asyncio.get_running_loop().create_task(self._work(frame))
            elif command in ("SEND", "BEGIN", "COMMIT", "ABORT"):
                raise FrameError(f"{command} {_REST_INSTEAD}")
            else:
                raise FrameError(f"{command[:40]!r} is not a command of STOMP {self.version}")
        except (FrameError, EventuaryError) as error:
            self.fail(error, frame)
        except Exception:  # noqa: BLE001 - the server goes on, whatever it is
            _log.exception("a %s failed unexpectedly", frame.command[:40])
            self.fail(EventuaryError("an unexpected error; the server's log has it"), frame)

    async def _work(self, frame: Frame) -> None:
        """Carry out a frame that waits for the store, and then those behind it."""
        try:
            if frame.command == "SUBSCRIBE":
                await self.subscriptions.subscribe(frame)
            elif frame.command == "UNSUBSCRIBE":
                await self.subscriptions.unsubscribe(frame)
            else:
                await self._disconnect(frame)
        except (FrameError, EventuaryError) as error:
            self.fail(error, frame)
        except Exception:  # noqa: BLE001 - the server goes on, whatever it is
            _log.exception("a %s failed unexpectedly", frame.command)
            self.fail(EventuaryError("an unexpected error; the server's log has it"), frame)
        self._worker = None
        while self._waiting and self._worker is None:
            self._handle(self._waiting.popleft())
        if not self._waiting and self.state is not State.CLOSED:
            self.wire.resume_reading()

    def _connect(self, frame: Frame) -> None:
        if self.state is not State.AWAITING_CONNECT:
            raise FrameError("there was a CONNECT on this connection already")
        offered = offered_versions(frame)
        version = newest_of(offered)
        if version is None:
            self.fail(
                BadRequest(
                    f"none of the versions {', '.join(offered)[:80]} is spoken here, but "
                    f"{', '.join(Version)}"
                ),
                frame,
                more=",".join(Version).encode(),
            )
            return
        heart_beat = wanted_heart_beat(frame)
        try:
            self.principal = log_in(frame, self._authenticator)
        except Unauthorized as error:
            self._refuse(error, frame)
            return
        self.version = version
        self.state = State.CONNECTED
        if heart_beat:
            self._heart_beat = HeartBeat(self.wire, heart_beat, version)
        headers = {
            "version": self.version.encode(),
            "server": b"Eventuary/" + __version__.encode(),
            "session": uuid4().hex.encode(),
            "heart-beat": b"%d,0" % (self._heart_beat.interval if self._heart_beat else 0),
        }
        if "receipt" in frame.headers:
            headers["receipt-id"] = frame.headers["receipt"]
        self.write(write_frame("CONNECTED", headers))
        self.send_receipt(frame)

    def _refuse(self, error: Unauthorized, frame: Frame) -> None:
        """Tell the client after a pause that its login is none.

        One client tries again at once, and so on for ever. Meanwhile nothing that it sends counts.
        """
        if isinstance(error, LoginFailed):
            self._authenticator.note(error, self.wire.peer)
        self.state = State.REFUSED
        loop = asyncio.get_running_loop()
        self._refusal = loop.call_later(_REFUSAL_PAUSE, self.fail, error, frame)

    async def _disconnect(self, frame: Frame) -> None:
        await self.subscriptions.leave()
        await self._answering.settle()
        self.send_receipt(frame)
        self.close()
        self.wire.finish()

    def send_receipt(self, frame: Frame) -> None:
        """Say that a frame is carried out, if its sender asked for that."""
        receipt = frame.headers.get("receipt")
        if receipt is not None and self.state is State.CONNECTED and frame.command != "CONNECT":
            self.write(write_frame("RECEIPT", {"receipt-id": receipt}))

    def ended_by_store(self, subscribed: Subscribed, reason: str) -> None:
        """A subscription was deleted: there is no frame for it but ERROR.

        (When the store stops it ends subscriptions too, but by then no session is open.)
        """
        self.subscriptions.drop(subscribed)
        self.fail(NotFound(reason))
