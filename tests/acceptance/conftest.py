"""Servers for the acceptance tests: one that all share, and as many as a test starts itself."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.acceptance.rest_client import Rest
from tests.acceptance.server_process import ServerProcess

_spaces = itertools.count(1)


class Start(Protocol):
    """Starts a server of the test's own."""

    def __call__(
        self,
        *arguments: str,
        database: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> ServerProcess: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers with these arguments; all end with the test, without a traceback logged."""
    servers: list[ServerProcess] = []

    def starting(
        *arguments: str,
        database: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> ServerProcess:
        server = ServerProcess(tmp_path, *arguments, database=database, environment=environment)
        servers.append(server)
        return server.start()

    yield starting
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that many tests share, each in a space of its own; none kills it."""
    process = ServerProcess(tmp_path_factory.mktemp("shared")).start()
    yield process
    assert process.terminate() == 0
    process.close()


@pytest.fixture
def space() -> str:
    """A space that no other test uses."""
    return f"space-{next(_spaces)}"


@pytest.fixture
def rest(server: ServerProcess, space: str) -> Iterator[Rest]:
    """REST calls to the shared server, in the test's space."""
    with Rest(server.url, space=space) as client:
        yield client
