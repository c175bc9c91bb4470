"""The server of the demonstration: ``eventuary serve`` in a process of its own, on free ports."""

import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NoReturn

_READY = re.compile(r"Eventuary .* ready: http://[^ ]+:(\d+) stomp://[^ ]+:(\d+) .*")

#: Seconds within which a server starts.
_PATIENCE = 30.0


class ServerProcess:
    """Can be started and killed again and again; ports and database stay the same."""

    def __init__(self, directory: Path) -> None:
        self.database = directory / "events.db"
        self.http_port = 0
        self.stomp_port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._running().pid

    @property
    def command(self) -> str:
        """What a person would type."""
        return f"eventuary serve --engine sqlite:{self.database.name}"

    def start(self) -> float:
        """Start it, wait until both ports accept, and return how many seconds that took."""
        began = time.monotonic()
        with tempfile.TemporaryFile("w+") as errors:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "eventuary",
                    "serve",
                    f"--http-port={self.http_port}",
                    f"--stomp-port={self.stomp_port}",
                    f"--engine=sqlite:{self.database}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            alarm = threading.Timer(_PATIENCE, self._process.kill)
            alarm.start()
            line = self._process.stdout.readline() if self._process.stdout else ""
            alarm.cancel()
            match = _READY.match(line)
            if match is None:
                self.kill()
                errors.seek(0)
                _fail(line, errors.read())
        self.http_port, self.stomp_port = int(match[1]), int(match[2])
        return time.monotonic() - began

    def kill(self) -> None:
        """``kill -9``: no farewell, nothing tidied up."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def stop(self) -> int:
        """Ask it to end, as an operator does, and return its exit code."""
        process = self._running()
        process.terminate()
        try:
            return process.wait(_PATIENCE)
        finally:
            self.kill()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the server was never started")
        return self._process


def _fail(line: str, errors: str) -> NoReturn:
    raise RuntimeError(f"the server did not start: {line.strip()} {errors.strip()}".strip())
