"""Three servers over one storage that they share, looked at as one: as behind a load balancer.

Each look at an address shows another one of them, so that a client's connections, and those of
several clients, are spread over all.
"""

import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import StompClient, Taken

_NUMBER = 3


class SeveralServers(ServerProcess):
    """Whatever is done to it is done to all of them; but ``restart`` kills one, each in turn."""

    def __init__(
        self,
        directory: Path,
        engine: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.each: Sequence[ServerProcess] = [
            ServerProcess(directory, "--engine", engine, *arguments, environment=environment)
            for _ in range(_NUMBER)
        ]
        self._turns = itertools.cycle(self.each)
        self._victims = itertools.cycle(self.each)

    @property
    def url(self) -> str:
        """Where the HTTP side of the next one is."""
        return next(self._turns).url

    @property
    def stomp_port(self) -> int:  # type: ignore[override]  # nobody sets it
        """The STOMP port of the next one."""
        return next(self._turns).stomp_port

    def connect(
        self, *, receive_buffer: int | None = None, after: StompClient | None = None
    ) -> StompClient:
        """Return a new connection to the next one, which may get again what was taken.

        Also by the connection that it comes after.
        """
        taken = set[Taken]() if after is None else after.taken
        return StompClient(self.stomp_port, receive_buffer=receive_buffer, passing_over=taken)

    @property
    def log(self) -> str:
        """What all of them wrote to standard error so far."""
        return "".join(server.log for server in self.each)

    def start(self) -> Self:
        """Start those that do not run. Raises DidNotStart."""
        ended = [server for server in self.each if not server.is_running]
        with ThreadPoolExecutor(_NUMBER) as threads:
            list(threads.map(ServerProcess.start, ended))
        return self

    def restart(self) -> Self:
        """``kill -9`` the next one, and start it again."""
        next(self._victims).restart()
        return self

    def close(self) -> None:
        """End those that run. Nothing unexpected may be in their logs."""
        for server in self.each:
            server.close()

    def _end(self, number: int) -> int:
        return max(server.terminate(number) for server in self.each)
