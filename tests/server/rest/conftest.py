"""The HTTP side of a server, in this process, on a SQLite file of the test's own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import uvloop
from starlette.types import ASGIApp

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.limits import Limits
from eventuary.server.asgi import Application, not_found
from eventuary.server.auth import KeyAuthenticator
from eventuary.server.http_listener import HttpListener
from eventuary.server.http_state import HttpState
from eventuary.server.rest.entities import EntityRoutes
from eventuary.server.sockets import listen, port_of
from tests.server.rest.wire import DEADLINE, Wire


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """These tests run on the loop that the server runs on."""
    return {"uvloop": uvloop.new_event_loop}


class HttpSide:
    """A listener, its state, and the store below it."""

    def __init__(
        self, store: EmbeddedEventStore, state: HttpState, listener: HttpListener, port: int
    ) -> None:
        self.store = store
        self.state = state
        self.listener = listener
        self.port = port

    async def connect(self) -> Wire:
        """Open a raw connection."""
        return await Wire.open(self.port)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that nothing tells of."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.005)


Opening = Callable[..., AbstractAsyncContextManager[HttpSide]]


@pytest.fixture
def open_http(tmp_path: Path) -> Opening:
    """Opens an HTTP side: ``async with open_http(limits, authenticator, app) as http``."""

    @contextlib.asynccontextmanager
    async def opening(
        limits: Limits | None = None,
        authenticator: KeyAuthenticator | None = None,
        app: ASGIApp = not_found,
    ) -> AsyncIterator[HttpSide]:
        limits = limits or Limits()
        authenticator = authenticator or KeyAuthenticator(allow_open=True)
        store = EmbeddedEventStore(open_engine(f"sqlite:{tmp_path / 'events.db'}"), limits=limits)
        await store.start()
        state = HttpState(EntityRoutes(store, authenticator), limits)
        listener = HttpListener(Application(app, app), state)
        sockets = listen("127.0.0.1", 0, "http_port")
        await listener.start(sockets, None)
        try:
            yield HttpSide(store, state, listener, port_of(sockets))
        finally:
            await listener.drain()
            await store.stop()
            await listener.stop()
            assert not state.watched
            assert state.body_bytes == 0

    return opening


@pytest.fixture
async def http(open_http: Opening) -> AsyncIterator[HttpSide]:
    """One with the default limits and open access."""
    async with open_http() as side:
        yield side


@pytest.fixture
async def wire(http: HttpSide) -> AsyncIterator[Wire]:
    """A raw connection to it."""
    connection = await http.connect()
    yield connection
    connection.close()
