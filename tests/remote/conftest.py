"""Servers and stores for the tests of the remote event store; they run on uvloop, as the contract
in tests/event_store runs on asyncio's own loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvloop

from eventuary.remote import RemoteEventStore
from tests.acceptance.server_process import ServerProcess
from tests.remote.many_servers import ManyServers
from tests.remote.proxy import Proxy


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


class Ports(NamedTuple):
    """Where a server, or a proxy before it, is."""

    http: int
    stomp: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}?stomp_port={self.stomp}"


@pytest.fixture(scope="package")
def servers() -> Iterator[ManyServers]:
    with ManyServers() as running:
        yield running


@pytest.fixture
def server(servers: ManyServers, tmp_path: Path) -> Iterator[Ports]:
    """A server of the test's own, in the process of all of them."""
    ports = Ports(*servers.start(tmp_path))
    yield ports
    servers.stop(ports.http)


@pytest.fixture
async def direct(server: Ports) -> AsyncIterator[RemoteEventStore]:
    """A store without anything between it and the server."""
    async with RemoteEventStore(server.url) as store:
        yield store


@pytest.fixture
async def http_proxy(server: Ports) -> AsyncIterator[Proxy]:
    """What is between ``store`` and the server's HTTP port."""
    async with Proxy(server.http) as proxy:
        yield proxy


@pytest.fixture
async def stomp_proxy(server: Ports) -> AsyncIterator[Proxy]:
    """What is between ``store`` and the server's STOMP port."""
    async with Proxy(server.stomp) as proxy:
        yield proxy


@pytest.fixture
async def store(http_proxy: Proxy, stomp_proxy: Proxy) -> AsyncIterator[RemoteEventStore]:
    """A store that reaches the server through the proxies."""
    url = Ports(http_proxy.port, stomp_proxy.port).url
    async with RemoteEventStore(url) as opened:
        yield opened


@pytest.fixture
async def watchful(server: Ports, stomp_proxy: Proxy) -> AsyncIterator[RemoteEventStore]:
    """A store that wants to hear from the server every second."""
    url = Ports(server.http, stomp_proxy.port).url
    async with RemoteEventStore(url, heart_beat=1.0) as opened:
        yield opened


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts ``eventuary serve`` in a process of its own, which can be killed."""
    started: list[ServerProcess] = []

    def start(*arguments: str) -> ServerProcess:
        server = ServerProcess(tmp_path, *arguments)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.close()
