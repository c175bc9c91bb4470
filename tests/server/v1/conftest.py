"""A real HTTP server on the embedded store over SQLite, in the test's loop, on its own port."""

import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.limits import Limits
from eventuary.server.auth import ApiKey, KeyAuthenticator
from eventuary.server.http_listener import HttpListener
from eventuary.server.http_state import HttpState
from eventuary.server.rest.entities import EntityRoutes
from eventuary.server.v1 import health, metrics
from eventuary.server.v1.app import make_app

ADMIN = ("admin", "secret of the admin")

#: Small enough that a test can go over them.
LIMITS = Limits(body_size=1024 * 1024, appends_per_call=2000)


@dataclass
class FixedSources:
    """Satisfies ``Sources``."""

    draining: bool = False
    http_connections: int = 3
    stomp_connections: int = 5
    entity_answers: Counter[int] = field(default_factory=lambda: Counter({200: 7, 409: 2}))
    refusals: Counter[int] = field(default_factory=lambda: Counter({413: 1}))


class RunningServer:
    """HTTP without STOMP: what these routes need of a server."""

    def __init__(
        self,
        path: Path,
        *,
        keys: bool = True,
        longest_wait: float = 60.0,
        limits: Limits = LIMITS,
        policy: DeliveryPolicy | None = None,
    ) -> None:
        self.limits = limits
        self.store = EmbeddedEventStore(open_engine(f"sqlite:{path}"), limits=limits, policy=policy)
        self.authenticator = KeyAuthenticator([ApiKey(*ADMIN)] if keys else [], allow_open=not keys)
        self.sources = FixedSources()
        self.url = ""
        self._longest_wait = longest_wait
        self._listener: HttpListener

    async def start(self) -> None:
        await self.store.start()
        app = make_app(
            self.store,
            self.authenticator,
            self.limits,
            self.sources,
            heartbeat=0.05,
            longest_wait=self._longest_wait,
        )
        state = HttpState(EntityRoutes(self.store, self.authenticator), self.limits)
        self._listener = HttpListener(app, state)
        # Named TCP, so that asyncio lets small answers go at once (TCP_NODELAY), as uvloop does.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
        await self._listener.start([listening], None)
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"

    async def stop(self) -> None:
        self.sources.draining = True
        await self._listener.drain()
        await self.store.stop()
        await self._listener.stop()

    def client(self, credentials: tuple[str, str] | None = ADMIN) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, auth=credentials, timeout=30)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is about how long a disk takes, but those that say so."""
    for module in (health, metrics):
        monkeypatch.setattr(module, "_PATIENCE", 60.0)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    running = RunningServer(tmp_path / "eventuary.db")
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client
