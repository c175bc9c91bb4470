"""The programs that a measurement runs, each in a process of its own, so that none hides another.

They print one JSON object with their figures on their last line.
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


def run(program: str, *arguments: object) -> dict[str, float]:
    """Run a program of this package to its end, and return its figures."""
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{program}", *map(str, arguments)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=1800,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def rate(program: str, *arguments: object) -> float:
    """Run a program of this package to its end, and return its rate."""
    return run(program, *arguments)["rate"]


@contextmanager
def ceiling(directory: Path, fixed: bytes = b'{"events":[]}') -> Iterator[int]:
    """Run the bare ASGI application; its port."""
    answer = directory / "fixed.json"
    answer.write_bytes(fixed)
    database = str(directory / "ceiling.db")
    command = [sys.executable, "-m", "bench.ceiling_asgi", database, str(answer)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.kill()


class Server(NamedTuple):
    """A running ``eventuary serve``."""

    http: int
    stomp: int
    pid: int

    def memory(self, name: str = "VmRSS") -> float:
        """Return resident MB (10⁶ bytes); ``VmHWM``: the most that there ever were."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024 / 1e6


_READY = re.compile(r"Eventuary \S+ ready: http://\S+:(\d+) stomp://\S+:(\d+) ")


@contextmanager
def server(directory: Path, *, engine: str | None = None) -> Iterator[Server]:
    """Run the installed command on an engine, else on ``directory/eventuary.db``.

    It must end with exit code 0.
    """
    command = [
        *(str(Path(sys.executable).with_name("eventuary")), "serve"),
        *("--http-port", "0", "--stomp-port", "0"),
        *("--engine", engine or f"sqlite:{directory / 'eventuary.db'}"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = _READY.match(line)
        assert ready is not None, f"eventuary serve said {line!r}"
        try:
            yield Server(int(ready[1]), int(ready[2]), process.pid)
        except BaseException:
            process.kill()
            raise
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def creates_of_both(first: Server, second: Server, connections: int, seconds: float) -> float:
    """Let two servers create entities at the same time, each for half of the connections."""
    with ThreadPoolExecutor(2) as threads:
        return sum(
            threads.map(
                lambda each: rate("load_http", each.http, connections // 2, seconds, "create"),
                (first, second),
            )
        )
