"""Stands between a client and the server's STOMP port: records, holds back, cuts."""

import socket
import threading
from types import TracebackType
from typing import Self

from tests.acceptance.waiting import PATIENCE, wait_until

_PIECE = 64 * 1024


class Relay:
    """Listens at ``port``; what comes there goes to the server, on a connection for each."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        #: All that clients have sent.
        self.sent = b""
        #: What the server has sent and the client was not given yet.
        self.held = b""
        #: How many connections there have been.
        self.connections = 0
        self._holding = False
        self._lock = threading.Lock()
        self._client: socket.socket | None = None
        self._server: socket.socket | None = None
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _end(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE)

    def hold(self) -> None:
        """Give the client nothing for now."""
        with self._lock:
            self._holding = True

    def wait_for_held(self, part: bytes) -> None:
        """Return when this has come from the server, and is held back."""
        wait_until(lambda: part in self.held, f"the server sends {part!r}")

    def release(self) -> None:
        """Give the client all that was held back, at once, and then what comes."""
        with self._lock:
            assert self._client is not None
            self._client.sendall(self.held)
            self.held = b""
            self._holding = False

    def cut(self) -> None:
        """End the connection, to both sides."""
        with self._lock:
            ends = (self._client, self._server)
        for end in ends:
            if end is not None:
                _end(end)

    def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    client, _ = self._listener.accept()
                except OSError:
                    return
                server = socket.create_connection(("127.0.0.1", self._server_port))
                # What goes out in pieces arrives in pieces.
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._client, self._server = client, server
                    self.connections += 1
                for target in (self._from_client, self._from_server):
                    thread = threading.Thread(target=target, args=(client, server))
                    self._threads.append(thread)
                    thread.start()

    def _from_client(self, client: socket.socket, server: socket.socket) -> None:
        while data := _received(client):
            with self._lock:
                self.sent += data
            _send(server, data)
        _end(server)
        client.close()

    def _from_server(self, client: socket.socket, server: socket.socket) -> None:
        while data := _received(server):
            with self._lock:
                if self._holding:
                    self.held += data
                    continue
            _send(client, data)
        _end(client)
        server.close()


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(_PIECE)
    except OSError:
        return b""


def _send(end: socket.socket, data: bytes) -> None:
    try:
        end.sendall(data)
    except OSError:
        _end(end)


def _end(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
