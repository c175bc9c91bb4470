"""A process of its own that runs any number of servers, each with ports and storage of its own.

    python -m tests.remote.many_servers

Reads lines ``start DIRECTORY`` and ``stop HTTP_PORT`` from standard input, and answers each with a
line: ``HTTP_PORT STOMP_PORT``, or ``stopped``. Ends with its input. So a test has a fresh server in
some milliseconds, and yet nothing of it is in the test's process.
"""

import asyncio
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import uvloop

from eventuary.server.app import Server
from eventuary.server.settings import Settings


class ManyServers:
    """The process, seen from the tests."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.remote.many_servers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            assert self._process.wait(30) == 0
        finally:
            self._process.kill()
            assert self._process.stdout is not None
            self._process.stdout.close()

    def start(self, directory: Path) -> tuple[int, int]:
        """Start a server on ``directory``; returns its HTTP and its STOMP port."""
        http_port, stomp_port = self._say(f"start {directory}").split()
        return int(http_port), int(stomp_port)

    def stop(self, http_port: int) -> None:
        """Stop the server of this port."""
        assert self._say(f"stop {http_port}") == "stopped"

    def _say(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer, "the servers' process has ended"
        return answer


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    servers: dict[int, Server] = {}
    while line := (await reader.readline()).decode():
        command, _, value = line.strip().partition(" ")
        if command == "start":
            server = Server(
                Settings(http_port=0, stomp_port=0, engine=f"sqlite:{Path(value) / 'e.db'}")
            )
            await server.start()
            servers[server.http_port] = server
            print(server.http_port, server.stomp_port, flush=True)
        else:
            await servers.pop(int(value)).stop()
            print("stopped", flush=True)
    for server in servers.values():
        await server.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
