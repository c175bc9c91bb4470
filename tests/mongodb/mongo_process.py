"""The server in a process of its own: start it, kill it, start it again on its port and data."""

import os
import selectors
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

#: Seconds within which it starts, or ends.
PATIENCE = 30.0


class MongoProcess:
    """One server on one journal, whatever number of processes that takes. ``close`` it.

    ``replica_set``: it is the only member of one of this name, and has transactions.
    """

    def __init__(
        self, command: Sequence[str], directory: Path, replica_set: str | None = None
    ) -> None:
        #: Whether it has transactions.
        self.has_transactions = replica_set is not None
        self._command = command
        self._arguments = (str(directory / "journal"), *filter(None, (replica_set,)))
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        # Bound for as long as this object lives, so that no other process is given the port while
        # the server is down; as it does not listen, connections are refused then.
        self._port_holder = socket.socket()
        self._port_holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port_holder.bind(("127.0.0.1", 0))
        self.port: int = self._port_holder.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it is, without a database."""
        return f"mongodb://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether it was started, and not killed since."""
        return self._process is not None

    def start(self) -> Self:
        """Start it, and wait until it accepts connections."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [*self._command, str(self.port), *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._process = process
        said = _line(process)
        if said != b"ready\n":
            self.kill()
            raise AssertionError(f"it said {said!r}; its log:\n{self._log.read_text()}")
        return self

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process = None

    def close(self) -> None:
        """End it if it runs, for good."""
        if self.running:
            self.kill()
        self._port_holder.close()


def _line(process: subprocess.Popen[bytes]) -> bytes:
    """Return what it writes up to the end of its line, or of its output, or of our patience."""
    assert process.stdout is not None
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not said.endswith(b"\n") and selector.select(PATIENCE):
            part = os.read(process.stdout.fileno(), 4096)
            if not part:
                break
            said += part
    return said
