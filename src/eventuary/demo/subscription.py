"""A durable subscription over STOMP 1.2, with nothing but a socket."""

import contextlib
import json
import socket
from typing import NamedTuple


class Delivery(NamedTuple):
    """An event as it arrives."""

    event_id: str
    entity_id: str
    event_type: str
    data: str
    swimlane: int


class Subscription:
    """Connects and subscribes when it is made; what it receives it acknowledges."""

    def __init__(self, port: int, subscriber_id: str, entity_type: str, event_types: list[str]):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._received = b""
        self._send("CONNECT", {"accept-version": "1.2", "host": "demo"})
        self._expect("CONNECTED")
        destination = {
            "subscriberId": subscriber_id,
            "entityTypesAndEvents": {entity_type: event_types},
        }
        self._send(
            "SUBSCRIBE",
            {
                "id": "1",
                "destination": json.dumps(destination).replace(":", "\\c"),
                "ack": "client-individual",
                "receipt": "subscribed",
            },
        )
        self._expect("RECEIPT")

    def next(self) -> Delivery:
        """Wait for an event, and acknowledge it. Raises OSError when the server is gone."""
        headers, body = self._expect("MESSAGE")
        # The header comes escaped, and goes back as it came.
        self._send("ACK", {"id": headers["ack"]})
        event = json.loads(body)
        return Delivery(
            event["id"],
            event["entityId"],
            event["eventType"],
            event["eventData"],
            event["swimlane"],
        )

    def close(self) -> None:
        """Hang up, once the server has read every acknowledgement if it is still there."""
        with contextlib.suppress(OSError):
            self._send("DISCONNECT", {"receipt": "bye"})
            self._expect("RECEIPT")
        self._socket.close()

    def _send(self, command: str, headers: dict[str, str]) -> None:
        lines = [command, *(f"{name}:{value}" for name, value in headers.items()), "", "\0"]
        self._socket.sendall("\n".join(lines).encode())

    def _expect(self, command: str) -> tuple[dict[str, str], str]:
        while b"\0" not in self._received:
            data = self._socket.recv(65_536)
            if not data:
                raise ConnectionResetError("the server has closed the connection")
            self._received += data
        frame, _, self._received = self._received.partition(b"\0")
        head, _, body = frame.decode().lstrip("\n").partition("\n\n")
        actual, *lines = head.split("\n")
        if actual != command:
            raise ConnectionError(f"expected {command}, received {head} {body}")
        headers = dict(line.split(":", 1) for line in lines)
        return headers, body
