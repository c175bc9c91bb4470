"""Servers and shops for the acceptance tests: those that all share, and a test's own.

What a server must show is shown three times: by one over SQLite, by three over one PostgreSQL, and
by three over one NATS cluster; what takes long of it among the long tests.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

import pytest

from tests.acceptance.rest_client import Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.service_process import ServiceProcess
from tests.acceptance.several_servers import SeveralServers
from tests.acceptance.shop import Shop
from tests.nats.fixtures import nats_cluster, nats_url
from tests.postgres.fixtures import own_postgres, postgres, postgres_url

_spaces = itertools.count(1)

#: The fixtures with the URLs of the engines of a test's own servers, if there are several.
_ENGINES = {"postgresql": "postgres_url", "jetstream": "nats_url"}

_long = pytest.mark.torture

#: What servers keep their events in: the one of SQLite, and those that several servers share.
_STORAGES = ["sqlite", "postgresql", pytest.param("jetstream", marks=_long)]

#: The same for tests that are long over either of those.
_STORAGES_OF_LONG = ["sqlite", *(pytest.param(each, marks=_long) for each in _ENGINES)]

#: Which tests, by their file, are run over all of these: those that share servers, and those that
#: start their own.
_LONG = ("s5", "s9", "p8")
_SHARING = ("s1", "s2", "s3", "s4", "s6", "s7", "s8")
_STARTING = ("s5", "s9", "p8")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the tests of the server's rows run over each storage."""
    row = metafunc.module.__name__.rpartition(".")[2].split("_")[1]
    for fixture, rows in (("server", _SHARING), ("start", _STARTING)):
        if row in rows and fixture in metafunc.fixturenames:
            scope: Literal["session", "function"] = "session" if fixture == "server" else "function"
            storages = _STORAGES_OF_LONG if row in _LONG else _STORAGES
            metafunc.parametrize(fixture, storages, indirect=True, scope=scope)


__all__ = ["nats_cluster", "nats_url", "own_postgres", "postgres", "postgres_url"]


class Start(Protocol):
    """Starts a server of the test's own."""

    def __call__(
        self,
        *arguments: str,
        database: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> ServerProcess: ...


@pytest.fixture
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Start servers with these arguments; all end with the test, without a traceback logged."""
    servers: list[ServerProcess] = []
    fixture = _ENGINES.get(getattr(request, "param", "sqlite"))
    engine = None if fixture is None else request.getfixturevalue(fixture)

    def starting(
        *arguments: str,
        database: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> ServerProcess:
        server = (
            ServerProcess(tmp_path, *arguments, database=database, environment=environment)
            if engine is None
            else SeveralServers(tmp_path, engine, *arguments, environment=environment)
        )
        servers.append(server)
        return server.start()

    yield starting
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server that many tests share, each in a space of its own; none kills it."""
    directory = tmp_path_factory.mktemp("shared")
    process = ServerProcess(directory)
    storage = getattr(request, "param", "sqlite")
    if storage == "postgresql":
        url = request.getfixturevalue("postgres").url
        process = SeveralServers(directory, f"{url}?schema=shared")
    elif storage == "jetstream":
        cluster = request.getfixturevalue("nats_cluster")
        process = SeveralServers(directory, cluster.url_of("shared"))
    process.start()
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


class OpenShop(Protocol):
    """Opens a shop of the test's own."""

    def __call__(self, *arguments: str, copies: int = 1) -> Shop: ...


@pytest.fixture
def open_shop(start: Start, tmp_path: Path) -> Iterator[OpenShop]:
    """Open a shop over a server with these arguments; ``copies`` of each service."""
    shops: list[Shop] = []

    def opening(*arguments: str, copies: int = 1) -> Shop:
        shop = Shop(start(*arguments), tmp_path, copies=copies)
        shops.append(shop)
        shop.start()
        return shop

    yield opening
    for shop in shops:
        shop.close()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop that many tests share, each with customers of its own; none kills anything."""
    directory = tmp_path_factory.mktemp("shop")
    server = ServerProcess(directory).start()
    shared = Shop(server, directory)
    try:
        shared.start()
        yield shared
        shared.end()
        assert server.terminate() == 0
    finally:
        shared.close()
        server.close()


class Copy(Protocol):
    """Starts one more process of a service of the shared shop, until the test ends."""

    def __call__(self, name: str) -> ServiceProcess: ...


@pytest.fixture
def copy_of(shop: Shop, tmp_path: Path) -> Iterator[Copy]:
    """Start one more process of a service, which shares the work with the one that is there."""
    copies: list[ServiceProcess] = []

    def copying(name: str) -> ServiceProcess:
        copies.append(shop.copy(name, tmp_path))
        copies[-1].start()
        return copies[-1]

    yield copying
    for each in copies:
        assert each.end() == 0, each.log
        assert "Traceback" not in each.log, each.log
