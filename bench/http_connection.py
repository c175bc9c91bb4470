"""One HTTP connection that waits for its answer: for filling stores and for calls in sequence."""

import re
import socket
from typing import Self

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def content_length(head: bytes) -> int:
    """Return the length of the body that follows this head, whose status must be 200."""
    length = _LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 200") or length is None:
        raise AssertionError(f"the server answered {head!r}")
    return int(length[1])


class HttpConnection:
    """``call`` sends a request and returns the answer's body."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, request: bytes) -> bytes:
        """Send a request and return the answer's body. Anything but 200 raises AssertionError."""
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n") + 4) == 3:
            received += self._receive()
        parts = [received[end:]]
        missing = content_length(received[:end]) - len(parts[0])
        while missing > 0:
            parts.append(self._receive())
            missing -= len(parts[-1])
        return b"".join(parts)

    def _receive(self) -> bytes:
        data = self._socket.recv(1 << 20)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        return data
