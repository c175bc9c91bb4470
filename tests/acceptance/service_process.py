"""A service of Place Order in a process of its own: start, kill, end, start again."""

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.ports import free_port

#: Where the example's package is.
EXAMPLES = Path(__file__).parents[2] / "examples"

#: Seconds within which a service starts, or ends.
PATIENCE = 30.0

_READY = re.compile(r"(?P<name>[a-z ]+) ready: (?P<url>http://[^ ]+:(?P<port>\d+))\n")


class ServiceProcess:
    """``python -m customers_and_orders…`` with these arguments, in a folder of its own.

    The first start takes a free port, each later one the same port again.
    """

    def __init__(
        self,
        module: str,
        store: str,
        directory: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.module = module
        self.url = ""
        self._store = store
        self.directory = directory
        self._arguments = arguments
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(EXAMPLES),
            "MONGODB_URL": "",  # that is for the tests' own databases, unless one says otherwise
            **(environment or {}),
        }
        self._port = free_port()  # the same again, when it was killed
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that runs, or ran last."""
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        """What all its processes wrote to standard error so far."""
        return self._log_file.read_text()

    def begin(self) -> None:
        """Start it; ``wait_until_ready`` has to follow."""
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    self.module,
                    f"--store={self._store}",
                    f"--port={self._port}",
                    *self._arguments,
                ],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
            )

    def wait_until_ready(self) -> None:
        """Return when it listens, and does its work."""
        match = _READY.fullmatch(self._first_line())
        assert match is not None, f"{self.module} did not start; its log:\n{self.log}"
        self.url, self._port = match["url"], int(match["port"])

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.begin()
        self.wait_until_ready()

    def kill(self) -> None:
        """``kill -9``."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended, and return its exit code."""
        code = self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def close(self) -> None:
        """End it if it runs."""
        if self._process is not None and self._process.returncode is None:
            self.kill()

    @property
    def _log_file(self) -> Path:
        return self.directory / f"{self.module}.log"

    def _first_line(self) -> str:
        stdout = self.process.stdout
        assert stdout is not None
        line = b""
        end = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, end - time.monotonic())):
                    break
                part = os.read(stdout.fileno(), 4096)
                if not part:
                    break
                line += part
        return line.decode()
