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
from typing import Protocol
from uuid import uuid4

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.errors import (
    BadRequest,
    EventuaryError,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
)
from eventuary.event_store import EventStore
from eventuary.limits import Limits
from eventuary.server.principal import Authenticator, LoginFailed, Principal
from eventuary.server.stomp.connecting import (
    log_in,
    newest_of,
    offered_versions,
    wanted_heart_beat,
)
from eventuary.server.stomp.heart_beat import HeartBeat
from eventuary.server.stomp.receipt_handle import parse_receipt_handle
from eventuary.server.stomp.subscribing import Subscribed, subscribe
from eventuary.stomp_frames import (
    Frame,
    FrameError,
    FrameParser,
    Version,
    escape,
    shown,
    unescape,
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


class Wire(Protocol):
    """What carries the bytes."""

    @property
    def peer(self) -> str:
        """The client's address, for people."""

    def write(self, data: bytes) -> None:
        """Send bytes, after those before them."""

    def finish(self) -> None:
        """Send what is written, then close."""

    def pause_reading(self) -> None:
        """Bring no more bytes for now."""

    def resume_reading(self) -> None:
        """Bring bytes again."""


class Store(EventStore, Protocol):
    """What subscribes for the clients."""

    @property
    def policy(self) -> DeliveryPolicy:
        """The rules of delivery of subscriptions that set none of their own."""


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
        #: What our SUBSCRIBEs are numbered with: no other, on whatever connection, has the same.
        self._numbers = numbers
        #: By the client's SUBSCRIBE id, as it came; by our number of it.
        self._subscribed: dict[bytes, Subscribed] = {}
        self._by_number: dict[int, Subscribed] = {}
        self._waiting: deque[Frame | FrameError] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._owed: list[bytes] = []
        self._flusher: asyncio.Task[None] | None = None
        self.leaving: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        """Whether the conversation is over."""
        return self.state is State.CLOSED

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
        for subscribed in self._by_number.values():
            subscribed.pause()

    def resume(self) -> None:
        """The wire has room."""
        self.full = False
        if self.state is not State.CLOSED:
            for subscribed in list(self._by_number.values()):
                subscribed.resume()

    async def _leave(self) -> None:
        """Leave all subscriptions: others get their swimlanes, however long the wire lingers."""
        for task in (self._worker, self._flusher):
            if task is not None:
                await asyncio.wait([task])  # what it is about to leave, it must leave
        subscribed = list(self._by_number.values())
        self._by_number.clear()
        self._subscribed.clear()
        for each in subscribed:
            await each.leave()

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
                self._answer(frame)
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
                await self._subscribe(frame)
            elif frame.command == "UNSUBSCRIBE":
                await self._unsubscribe(frame)
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
        self._receipt(frame)

    def _refuse(self, error: Unauthorized, frame: Frame) -> None:
        """Tell the client after a pause that its login is none.

        One client tries again at once, and so on for ever. Meanwhile nothing that it sends counts.
        """
        if isinstance(error, LoginFailed):
            self._authenticator.note(error, self.wire.peer)
        self.state = State.REFUSED
        loop = asyncio.get_running_loop()
        self._refusal = loop.call_later(_REFUSAL_PAUSE, self.fail, error, frame)

    async def _subscribe(self, frame: Frame) -> None:
        identity = self._identity(frame)
        if identity in self._subscribed:
            raise FrameError(
                f"id: there is a subscription {shown(identity, 80)} on this connection already"
            )
        most = self.limits.subscriptions_per_connection
        if len(self._subscribed) >= most:
            raise FrameError(
                f"{most} subscriptions on this connection, the limit subscriptions_per_connection"
            )
        subscribed = await subscribe(self, frame, next(self._numbers))
        if self.closed:  # meanwhile
            await subscribed.leave()
            return
        self._subscribed[identity] = subscribed
        self._by_number[subscribed.number] = subscribed
        self._receipt(frame)
        subscribed.start()

    async def _unsubscribe(self, frame: Frame) -> None:
        identity = self._identity(frame)
        subscribed = self._subscribed.pop(identity, None)
        if subscribed is None:
            raise FrameError(f"there is no subscription {shown(identity, 80)} on this connection")
        self._by_number.pop(subscribed.number, None)
        await subscribed.leave()
        self._receipt(frame)

    async def _disconnect(self, frame: Frame) -> None:
        subscribed = list(self._by_number.values())
        self._by_number.clear()
        self._subscribed.clear()
        for each in subscribed:
            await each.leave()
        if self._flusher is not None:
            await asyncio.wait([self._flusher])
        self._receipt(frame)
        self.close()
        self.wire.finish()

    def _identity(self, frame: Frame) -> bytes:
        """Return what names a subscription here: its id, or in 1.0 its destination."""
        identity = frame.headers.get("id")
        if identity is None:
            if self.version is not Version.V10:
                raise FrameError(f"id: is missing; a {frame.command} has one")
            identity = frame.headers.get("destination")
            if identity is None:
                raise FrameError(f"destination: is missing; a {frame.command} has one")
        return identity

    def _answer(self, frame: Frame) -> None:
        """Carry out ACK and NACK."""
        headers = frame.headers
        value = headers.get("id") or headers.get("message-id")
        if value is None:
            raise FrameError(f"id: is missing; {frame.command} names the MESSAGE it answers")
        handle = parse_receipt_handle(value)
        if "transaction" in headers:
            raise FrameError(f"transaction: {frame.command} can't be part of one here")
        # What is unknown is late: its subscription ended, or its swimlane has moved on.
        subscribed = self._by_number.get(handle.consumer)
        if subscribed is not None and handle.names(subscribed.consumer.subscriber_id):
            if frame.command == "ACK":
                subscribed.consumer.acknowledge(handle.swimlane, handle.offset)
            else:
                reason = unescape(headers.get("message", b""), self.version)
                subscribed.consumer.refuse(
                    handle.swimlane, handle.offset, reason or "refused by NACK"
                )
        if "receipt" not in headers:
            return
        if frame.command == "NACK":
            # At once: what the client reads before it was sent before the refusal took effect.
            self._receipt(frame)
        else:
            self._owed.append(headers["receipt"])
            if self._flusher is None:
                self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        """Send the receipts of ACKs once the positions that they moved are on disk."""
        while self._owed and self.state is State.CONNECTED:
            owed, self._owed = self._owed, []
            try:
                for subscribed in list(self._by_number.values()):
                    await subscribed.consumer.flush()
            except EventuaryError as error:
                self.fail(error)
                break
            if self.state is State.CONNECTED:
                for receipt in owed:
                    self.write(write_frame("RECEIPT", {"receipt-id": receipt}))
        self._flusher = None

    def _receipt(self, frame: Frame) -> None:
        receipt = frame.headers.get("receipt")
        if receipt is not None and self.state is State.CONNECTED and frame.command != "CONNECT":
            self.write(write_frame("RECEIPT", {"receipt-id": receipt}))

    def ended_by_store(self, subscribed: Subscribed, reason: str) -> None:
        """A subscription was deleted: there is no frame for it but ERROR.

        (When the store stops it ends subscriptions too, but by then no session is open.)
        """
        self._by_number.pop(subscribed.number, None)
        self._subscribed = {
            identity: each for identity, each in self._subscribed.items() if each is not subscribed
        }
        self.fail(NotFound(reason))
