"""A small blocking STOMP client on a raw socket: every wait has a deadline.

It speaks 1.2 and is strict where the protocol is: a MESSAGE must have all its headers, and a body
of exactly the fields of protocol.md, section 3, rule 5.
"""

import json
import socket
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

#: Seconds within which what is waited for happens.
PATIENCE = 20.0

#: Which events: entity type → event types.
Types = Mapping[str, Sequence[str]]

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c"}
_UNESCAPES = {escaped[1]: plain for plain, escaped in _ESCAPES.items()}


class TryAgain(Exception):
    """The server can't do it at this moment, and says so."""


class ConnectionEnded(Exception):
    """The server closed the connection."""


class Frame(NamedTuple):
    """One frame."""

    command: str
    headers: dict[str, str]
    body: str


class Body(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """The body of a MESSAGE."""

    id: str
    entity_id: str
    entity_type: str
    event_type: str
    event_data: str
    event_token: str
    swimlane: int
    offset: int
    event_metadata: str | None = None


class Message(NamedTuple):
    """An event as delivered: what it says, and what acknowledges it."""

    event: Body
    ack: str
    frame: Frame


class Taken(NamedTuple):
    """What a connection has acknowledged."""

    subscription: str
    event_id: str
    swimlane: int


class StompClient:
    """One connection. ``with StompClient(port) as client`` connects and closes.

    ``passing_over``: what was taken before, and is acknowledged once more and passed over when it
    comes again. Servers that share a storage deliver again what they had not heard of when a lease
    ended too early, as it does on a machine that stands still for seconds. None: it is returned.
    """

    def __init__(
        self,
        port: int,
        *,
        login: str = "id",
        passcode: str = "secret",
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
        passing_over: set[Taken] | None = None,
    ) -> None:
        plain = socket.socket()
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(PATIENCE)
        try:
            plain.connect(("127.0.0.1", port))
            self._socket = (
                plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
            )
        except BaseException:
            plain.close()
            raise
        self._received = bytearray()
        self._receipts = 0
        self.taken: set[Taken] = set() if passing_over is None else passing_over
        self._passes_over = passing_over is not None
        try:
            self.send(
                "CONNECT",
                {
                    "accept-version": "1.2",
                    "host": "localhost",
                    "login": login,
                    "passcode": passcode,
                    "heart-beat": "0,0",
                },
                escaped=False,
            )
            connected = self.receive()
            assert connected.command == "CONNECTED", connected
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut the connection, as a killed process does: without a word."""
        self._socket.close()

    def send(
        self, command: str, headers: Mapping[str, str], body: str = "", *, escaped: bool = True
    ) -> None:
        """Send one frame."""
        lines = [command]
        for name, value in headers.items():
            text = "".join(_ESCAPES.get(each, each) for each in value) if escaped else value
            lines.append(f"{name}:{text}")
        self._socket.sendall("\n".join([*lines, "", body]).encode() + b"\0")

    def receive(self, patience: float = PATIENCE) -> Frame:
        """Return the next frame. Raises TimeoutError, or ConnectionEnded."""
        end = time.monotonic() + patience
        while (frame := self._take_frame()) is None:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no frame within {patience} s; so far {self._received!r}")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65_536)
            except ConnectionError as error:
                raise ConnectionEnded(str(error)) from None
            if not data:
                raise ConnectionEnded("closed by the server")
            self._received += data
        return frame

    def subscribe(
        self,
        subscriber_id: str,
        types: Types,
        *,
        space: str | None = None,
        options: Mapping[str, object] | None = None,
        name: str = "s",
        ack: str = "client-individual",
    ) -> str:
        """Subscribe, wait for the receipt, and return the destination as it was sent.

        Raises TryAgain.
        """
        destination: dict[str, object] = {
            "subscriberId": subscriber_id,
            "entityTypesAndEvents": types,
        }
        if space is not None:
            destination["space"] = space
        if options is not None:
            destination["options"] = options
        text = json.dumps(destination)
        self._receipts += 1
        receipt = f"subscribed-{self._receipts}"
        self.send("SUBSCRIBE", {"id": name, "destination": text, "ack": ack, "receipt": receipt})
        answer = self.receive()
        if answer.headers.get("error") == "service_unavailable":
            raise TryAgain(answer.headers["message"])
        assert answer.command == "RECEIPT", answer
        assert answer.headers["receipt-id"] == receipt
        return text

    def next(self, patience: float = PATIENCE) -> Message:
        """Return the next MESSAGE, not yet acknowledged."""
        frame = self.receive(patience)
        assert frame.command == "MESSAGE", frame
        assert {"destination", "subscription", "message-id", "ack"} <= frame.headers.keys()
        assert frame.headers["content-type"] == "application/json"
        assert "\n" not in frame.body
        return Message(msgspec.json.decode(frame.body, type=Body), frame.headers["ack"], frame)

    def take(self, count: int, patience: float = PATIENCE) -> list[Body]:
        """Receive and acknowledge so many messages."""
        events: list[Body] = []
        while len(events) < count:
            message = self.next(patience)
            self.ack(message)
            if not self._is_repeated(message):
                events.append(message.event)
        return events

    def ack(self, message: Message) -> None:
        """Acknowledge one."""
        self.send("ACK", {"id": message.ack})

    def nack(self, message: Message) -> None:
        """Refuse one."""
        self.send("NACK", {"id": message.ack})

    def settle(self) -> None:
        """Wait until the server has read everything sent so far, and leave."""
        self.send("DISCONNECT", {"receipt": "bye"})
        while (frame := self.receive()).command != "RECEIPT":
            assert frame.command == "MESSAGE", frame
        assert frame.headers["receipt-id"] == "bye"
        self.close()

    def expect_silence(self, seconds: float) -> None:
        """Nothing may arrive for so long."""
        end = time.monotonic() + seconds
        while True:
            try:
                message = self.next(end - time.monotonic())
            except TimeoutError:
                return
            assert self._is_repeated(message), f"unexpected {message.frame}"
            self.ack(message)

    def _is_repeated(self, message: Message) -> bool:
        """Note it as taken; return whether it was, and is to be passed over."""
        event = message.event
        taken = Taken(message.frame.headers["subscription"], event.id, event.swimlane)
        if taken in self.taken:
            return self._passes_over
        self.taken.add(taken)
        return False

    def _take_frame(self) -> Frame | None:
        while self._received.startswith((b"\n", b"\r")):
            del self._received[:1]
        head, separator, rest = bytes(self._received).partition(b"\n\n")
        if not separator:
            return None
        command, *lines = head.decode().split("\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            escaped = command != "CONNECTED"
            headers.setdefault(name, _unescape(value) if escaped else value)
        size = int(headers["content-length"]) if "content-length" in headers else rest.find(b"\0")
        if size < 0 or len(rest) <= size:
            return None
        assert rest[size] == 0
        del self._received[: len(head) + 2 + size + 1]
        return Frame(command, headers, rest[:size].decode())


def _unescape(text: str) -> str:
    parts = iter(text)
    return "".join(_UNESCAPES[next(parts)] if each == "\\" else each for each in parts)


def by_entity(events: Iterable[Body]) -> dict[str, list[str]]:
    """Return the event ids of each entity, in the order of the events."""
    found: dict[str, list[str]] = {}
    for event in events:
        found.setdefault(event.entity_id, []).append(event.id)
    return found
