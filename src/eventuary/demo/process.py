"""A process of the demonstration: it says when it is ready, and can be killed and started again."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

#: Seconds within which a process starts, or ends.
_PATIENCE = 40.0

_READY = re.compile(r".* ready: http://127\.0\.0\.1:(\d+)(?: stomp://[^ ]+:(\d+))?.*\n")


class DidNotStart(Exception):
    """The text says why, as far as the process has told."""


class Process:
    """``python -m`` with these arguments; ``{port}`` and ``{stomp_port}`` in them are filled in.

    The ports are free ones at first, and the same ones again from then on.
    """

    def __init__(self, arguments: Sequence[str], directory: Path, examples: Path) -> None:
        self.port = 0
        self.stomp_port = 0
        self._arguments = arguments
        self._directory = directory
        self._log = directory / f"{arguments[0]}.log"
        path = os.pathsep.join(filter(None, (str(examples), os.environ.get("PYTHONPATH"))))
        # A database that outlives the demonstration would be a view of one that is gone.
        self._environment = {**os.environ, "PYTHONPATH": path, "MONGODB_URL": ""}
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The number of the process that runs, or ran last."""
        return 0 if self._process is None else self._process.pid

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def begin(self) -> None:
        """Start it; ``wait_until_ready`` has to follow."""
        filled = [
            each.format(port=self.port, stomp_port=self.stomp_port) for each in self._arguments
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *filled],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
                # A Ctrl-C is for the demonstration, which then ends its processes one by one.
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Return when it listens. Raises DidNotStart."""
        process = self._process
        if process is None or process.stdout is None:
            raise DidNotStart(f"{self._arguments[0]} was never begun")
        alarm = threading.Timer(_PATIENCE, process.kill)
        alarm.start()
        line = process.stdout.readline()
        alarm.cancel()
        match = _READY.fullmatch(line)
        if match is None:
            self.kill()
            raise DidNotStart(f"{self._arguments[0]} did not start: {line}{self._log.read_text()}")
        self.port, self.stomp_port = int(match[1]), int(match[2] or 0)

    def start(self) -> float:
        """Start it, and return how many seconds it took until it was ready."""
        began = time.monotonic()
        self.begin()
        self.wait_until_ready()
        return time.monotonic() - began

    def kill(self) -> None:
        """``kill -9``: no farewell, nothing tidied up."""
        if self._process is not None:
            self._process.kill()
            self._reap(self._process)

    def ask_to_end(self) -> None:
        """Ask it to end, as an operator does."""
        if self._process is not None:
            self._process.terminate()

    def wait(self) -> int:
        """Wait until it has ended, and return its exit code."""
        if self._process is None:
            return 0
        try:
            return self._reap(self._process)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    def _reap(self, process: subprocess.Popen[str]) -> int:
        code = process.wait(_PATIENCE)
        if process.stdout is not None:
            process.stdout.close()
        return code
