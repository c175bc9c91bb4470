"""A STOMP connection of a page: frames go out and come in as the bytes that the page shows.

A page shows NUL as ``^@``, as the specification does. A line end that a page has behind the NUL is
sent too, as STOMP allows.
"""

import contextlib
import re
import socket
import time

from tests.docs.terminal import PATIENCE

_LENGTH = re.compile(rb"\ncontent-length:(\d+)\n")


class StompWire:
    """One connection to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._received = b""

    def send(self, shown: str) -> None:
        """Send what a page shows."""
        self._socket.sendall(shown.encode().replace(b"^@", b"\0"))

    def receive(self) -> bytes:
        """Return the next frame with its NUL, or nothing once the server has closed."""
        end = time.monotonic() + PATIENCE
        while (frame := self._whole_frame()) is None:
            left = end - time.monotonic()
            assert left > 0, f"no frame comes; so far {self._received!r}"
            self._socket.settimeout(left)
            data = self._socket.recv(65_536)
            if not data:
                assert not self._received, f"closed within a frame: {self._received!r}"
                return b""
            self._received += data
        self._received = self._received[len(frame) :].lstrip(b"\n")
        return frame

    def rest(self) -> bytes:
        """Return what has come and was not asked for."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self._received += self._socket.recv(65_536)
        return self._received

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _whole_frame(self) -> bytes | None:
        head = self._received.find(b"\n\n")
        if head < 0:
            return None
        length = _LENGTH.search(self._received, 0, head + 1)
        end = head + 2 + (int(length[1]) if length else 0)
        if len(self._received) <= end:
            return None
        assert self._received[end] == 0, f"no NUL behind the frame: {self._received!r}"
        return self._received[: end + 1]


def printed(frame: bytes) -> str:
    """Return a frame as pages show it."""
    return frame.decode().replace("\0", "^@")
