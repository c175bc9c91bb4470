"""The clients, each in all its tests, and a server of theirs."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import pytest

from tests.acceptance.rest_client import Rest
from tests.acceptance.server_process import ServerProcess
from tests.clients.accounts import Accounts
from tests.clients.builds import Unavailable, go_client, java_client, node_client
from tests.clients.client_process import ClientProcess

#: The secrets hold what REST and CONNECT write in different ways.
KEY = ("key-id", "a secret: %3A+/=")
BACKSLASH_KEY = ("other-id", "a\\nd")


@dataclass(frozen=True)
class Kind:
    """One of the clients, and where it differs from the others."""

    name: str
    build: Callable[[], list[str]]
    #: Behind all other arguments.
    arguments: tuple[str, ...] = ()
    #: It makes its connection again when it ends, and subscribes again.
    reconnects: bool = True
    #: It reads the body's ``error`` of every refusal, not of 409 alone.
    reads_codes: bool = True


GO = Kind("go", go_client, reconnects=False)
JAVA = Kind("java", java_client, reads_codes=False)
NODE = Kind("node", node_client, ("fork",))
#: As NODE, over the npm package ``stomp`` itself, of which the published client has a changed copy.
NODE_PACKAGE = Kind("node-package", node_client, ("package",))


class Run(Protocol):
    """Runs the client."""

    def __call__(
        self,
        server: ServerProcess,
        *,
        space: str = ...,
        stomp_port: int | None = None,
        key: tuple[str, str] = ...,
    ) -> ClientProcess: ...


#: The commands that run the clients, once they are built, by what builds them.
Commands = dict[Callable[[], list[str]], Future[list[str]]]


@pytest.fixture(scope="session")
def commands(request: pytest.FixtureRequest) -> Iterator[Commands]:
    """All that the tests of this run need, which is built at once: much of that is waiting."""
    kinds = [
        item.callspec.params.get("kind")
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    ]
    with ThreadPoolExecutor() as builders:
        wanted = {kind.build for kind in kinds if isinstance(kind, Kind)}
        yield {build: builders.submit(build) for build in wanted}


@pytest.fixture(scope="session")
def lasting(server: ServerProcess) -> Iterator[dict[str, ClientProcess]]:
    """What runs for many tests; all end well, before their server does."""
    processes: dict[str, ClientProcess] = {}
    yield processes
    for process in processes.values():
        process.close()


def for_each(*kinds: Kind) -> pytest.MarkDecorator:
    """Mark a test to be run with each of these."""
    return pytest.mark.parametrize("kind", kinds, indirect=True, ids=lambda kind: kind.name)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Kind:
    """One of those that the test is marked ``for_each`` of."""
    assert isinstance(request.param, Kind)
    return request.param


@pytest.fixture
def run(kind: Kind, commands: Commands) -> Iterator[Run]:
    """Run the client, as often as is wanted; all end with the test."""
    running: list[ClientProcess] = []

    def running_it(
        server: ServerProcess,
        *,
        space: str = "default",
        stomp_port: int | None = None,
        key: tuple[str, str] = KEY,
    ) -> ClientProcess:
        process = _run(kind, commands, server, space, stomp_port or server.stomp_port, key)
        running.append(process)
        return process

    yield running_it
    for process in running:
        process.kill()


@pytest.fixture
def space(kind: Kind) -> str:
    """A space for each of the clients, so that all may use the same names."""
    return f"space-{kind.name}"


@pytest.fixture
def client(
    kind: Kind,
    commands: Commands,
    lasting: dict[str, ClientProcess],
    server: ServerProcess,
    space: str,
) -> ClientProcess:
    """The client in one process for all tests in which it doesn't end."""
    if kind.name not in lasting:
        lasting[kind.name] = _run(kind, commands, server, space, server.stomp_port, KEY)
    lasting[kind.name].forget()
    return lasting[kind.name]


def _run(
    kind: Kind,
    commands: Commands,
    server: ServerProcess,
    space: str,
    stomp_port: int,
    key: tuple[str, str],
) -> ClientProcess:
    try:
        command = commands[kind.build].result()
    except Unavailable as unavailable:
        if unavailable.expected and os.environ.get("CI") == "true":
            pytest.fail(str(unavailable))
        pytest.skip(str(unavailable).partition("\n")[0])
    arguments = [server.url, str(stomp_port), space, *key, *kind.arguments]
    return ClientProcess([*command, *arguments])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that many tests share; none kills it."""
    process = _server(tmp_path_factory)
    yield process
    assert process.terminate() == 0
    process.close()


@pytest.fixture(scope="session")
def mortal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server to be killed, and started again."""
    process = _server(tmp_path_factory)
    yield process
    process.close()


def _server(directories: pytest.TempPathFactory) -> ServerProcess:
    keys = [f"--api-key={':'.join(key)}" for key in (KEY, BACKSLASH_KEY)]
    return ServerProcess(directories.mktemp("clients"), *keys).start()


@pytest.fixture
def accounts(server: ServerProcess, space: str) -> Iterator[Accounts]:
    """Accounts that only this test knows, made and watched beside the client."""
    with Rest(server.url, space=space, key=KEY) as rest:
        yield Accounts(rest)
