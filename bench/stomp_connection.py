"""STOMP 1.2 as cheaply as Python can: acknowledgements are cut out of what arrives, not parsed."""

import json
import re
import socket

from bench.events import ENTITY_TYPE, EVENT_TYPE

_ACK = re.compile(rb"\nack:([^\n]*)\n")
_ACK_FRAME = b"ACK\nid:%b\n\n\0"
_BETWEEN = b"\n\n\0ACK\nid:"


class StompConnection:
    """Connected and subscribed when made. ``take`` reads once and acknowledges what came."""

    def __init__(
        self, port: int, subscriber_id: str, *, from_end: bool = False, acknowledge: bool = True
    ) -> None:
        self.messages = 0
        self._acknowledge = acknowledge
        self._rest = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._send("CONNECT", {"accept-version": "1.2", "host": "localhost"})
        destination = {
            "subscriberId": subscriber_id,
            "entityTypesAndEvents": {ENTITY_TYPE: [EVENT_TYPE]},
            "options": {"readFrom": "END" if from_end else "BEGINNING"},
        }
        self._await(b"CONNECTED")
        self._send(
            "SUBSCRIBE",
            {
                "id": "1",
                "destination": json.dumps(destination).replace(":", "\\c"),
                "ack": "client-individual",
                "receipt": "subscribed",
            },
        )
        self._await(b"RECEIPT")

    def take(self) -> bytes:
        """Read what there is, acknowledge each MESSAGE of it, and return the whole frames."""
        data = self._rest + self._receive()
        end = data.rfind(b"\0") + 1
        frames, self._rest = data[:end], data[end:]
        if b"ERROR\n" in frames[:7]:
            raise AssertionError(frames[:500])
        acks = _ACK.findall(frames)
        self.messages += len(acks)
        if acks and self._acknowledge:
            self.socket.sendall(_ACK_FRAME % _BETWEEN.join(acks))
        return frames

    def leave(self) -> None:
        """Disconnect once the server has read every acknowledgement."""
        self._send("DISCONNECT", {"receipt": "bye"})
        self._await(b"RECEIPT")
        self.socket.close()

    def _await(self, command: bytes) -> None:
        """Read one frame that must be this; what follows it is kept for ``take``."""
        while (end := self._rest.find(b"\0") + 1) == 0:
            self._rest += self._receive()
        frame, self._rest = self._rest[:end], self._rest[end:]
        if not frame.lstrip(b"\n").startswith(command):
            raise AssertionError(f"expected {command!r}, not {frame[:500]!r}")

    def _receive(self) -> bytes:
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        return data

    def _send(self, command: str, headers: dict[str, str]) -> None:
        lines = [command, *(f"{name}:{value}" for name, value in headers.items()), "", "\0"]
        self.socket.sendall("\n".join(lines).encode())
