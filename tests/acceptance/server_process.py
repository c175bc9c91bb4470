"""The installed command ``eventuary serve`` in a process of its own: start, kill, end, restart."""

import os
import re
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.acceptance.stomp_client import StompClient
from tests.ports import free_ports

#: The console script that installation made.
COMMAND = Path(sys.executable).with_name("eventuary")

#: Seconds within which a server starts, or ends.
PATIENCE = 30.0

_READY = re.compile(
    r"Eventuary \S+ ready: (?P<http>https?://[^ ]+:(?P<http_port>\d+)) "
    r"(?P<stomp>stomps?://[^ ]+:(?P<stomp_port>\d+)) engine (?P<engine>\S+)(?P<rest>.*)"
)


class DidNotStart(Exception):
    """The command ended, or said nothing, before it was ready; the text has its log."""


class ServerProcess:
    """One server on one database, whatever number of processes that takes.

    Each start takes the same ports, so that clients that reconnect find it.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        database: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.database = database or directory / "e.db"
        self.http_port, self.stomp_port = free_ports(2)
        self.ready_line = ""
        self._arguments = arguments
        self._environment = {**os.environ, **(environment or {})}
        self._log: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._log_reader: threading.Thread | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process that runs, or ran last."""
        assert self._process is not None
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        """Where its HTTP side is."""
        match = _READY.fullmatch(self.ready_line)
        assert match is not None
        return match["http"]

    @property
    def log(self) -> str:
        """What all its processes wrote to standard error so far."""
        return "".join(self._log)

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def start(self) -> Self:
        """Start it, and wait for its one line. Raises DidNotStart."""
        self._process = subprocess.Popen(
            [
                COMMAND,
                "serve",
                "--http-port",
                str(self.http_port),
                "--stomp-port",
                str(self.stomp_port),
                "--engine",
                f"sqlite:{self.database}",
                *self._arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        # A pipe, not a file: a limit on file sizes must not touch the log.
        self._log_reader = threading.Thread(target=self._read_log, args=(self._process,))
        self._log_reader.start()
        self.ready_line = self._first_line(self._process)
        match = _READY.fullmatch(self.ready_line)
        if match is None:
            self.kill()
            raise DidNotStart(f"said {self.ready_line!r}; its log:\n{self.log}")
        self.http_port = int(match["http_port"])
        self.stomp_port = int(match["stomp_port"])
        return self

    def connect(
        self, *, receive_buffer: int | None = None, after: StompClient | None = None
    ) -> StompClient:
        """Return a new STOMP connection to it; ``after`` which, for servers that are several."""
        return StompClient(self.stomp_port, receive_buffer=receive_buffer)

    def kill(self) -> None:
        """``kill -9``."""
        self._end(signal.SIGKILL)

    def terminate(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, wait until it has, and return its exit code."""
        return self._end(number)

    def wait(self) -> int:
        """Wait until it has ended, and return its exit code."""
        code = self.process.wait(PATIENCE)
        assert self._log_reader is not None
        self._log_reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def restart(self) -> Self:
        """``kill -9`` it, and start it again."""
        self.kill()
        return self.start()

    def close(self) -> None:
        """End it if it runs. Nothing unexpected may be in its log."""
        if self._process is not None and self._process.returncode is None:
            self.kill()
        assert "Traceback" not in self.log, self.log

    def limit_file_size(self, limit: int | None) -> None:
        """Let writes beyond this offset of any file fail, as on a full disk; None: none fail."""
        _, most = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(
            self.process.pid, resource.RLIMIT_FSIZE, (most if limit is None else limit, most)
        )

    def _end(self, number: int) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        line = b""
        end = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, end - time.monotonic())):
                    break
                part = os.read(process.stdout.fileno(), 4096)
                if not part:
                    break
                line += part
        return line.decode().rstrip("\n")

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            self._log.extend(stream)


def run_command(*arguments: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run ``eventuary`` with these arguments to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
