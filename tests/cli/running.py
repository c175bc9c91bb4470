"""The command in a process of its own: what it prints, its ports, how it ends."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

#: Seconds within which a process starts, and ends.
DEADLINE = 30.0

_READY = re.compile(r"Eventuary \S+ ready: (https?)://(\S+):(\d+) (stomps?)://\S+:(\d+) engine .*")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process without settings of Eventuary, and with ``more``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVENTUARY_")}
    return {**kept, "NO_COLOR": "1", "COLUMNS": "100", **(more or {})}


def run(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "eventuary", *arguments],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


class RunningServer:
    """``eventuary serve``, ready."""

    def __init__(self, process: "subprocess.Popen[str]", line: str) -> None:
        self.process = process
        self.line = line
        found = _READY.fullmatch(line)
        assert found is not None, line
        self.http_port = int(found[3])
        self.stomp_port = int(found[5])
        self.url = f"{found[1]}://{found[2]}:{found[3]}"

    def becomes_ready(self) -> bool:
        """Whether it says soon that its storage works: a moment ago it may have been too slow."""
        deadline = time.monotonic() + DEADLINE
        while httpx.get(f"{self.url}/health/ready", timeout=30).status_code != 200:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def end(self, number: int) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def output(self) -> tuple[str, str]:
        """What it wrote after its line, and to standard error; it has ended."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        return self.process.stdout.read(), self.process.stderr.read()


@contextmanager
def serving(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, ports: bool = True
) -> Iterator[RunningServer]:
    """Start a server on free ports, and kill it in the end if the test has not ended it."""
    free = ("--http-port", "0", "--stomp-port", "0") if ports else ()
    process = subprocess.Popen(
        [sys.executable, "-m", "eventuary", "serve", *free, *arguments],
        cwd=cwd,
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    guard = threading.Timer(DEADLINE, process.kill)  # reading a line has no deadline of its own
    guard.start()
    try:
        line = process.stdout.readline().rstrip("\n")
        guard.cancel()
        assert line, process.stderr.read() if process.stderr else ""
        yield RunningServer(process, line)
    finally:
        guard.cancel()
        process.kill()
        process.wait(DEADLINE)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
