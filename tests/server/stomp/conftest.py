"""The STOMP side of a server, in this process, on a SQLite file of the test's own."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import uvloop

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.events import NewEvent
from eventuary.limits import Limits
from eventuary.server.auth import KeyAuthenticator
from eventuary.server.stomp.listener import StompListener
from eventuary.server.stomp.session import Session
from tests.server.stomp.wire import DEADLINE, Wire


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """These tests run on the loop that the server runs on."""
    return {"uvloop": uvloop.new_event_loop}


class StompSide:
    """A listener, and the store below it."""

    def __init__(
        self,
        store: EmbeddedEventStore,
        authenticator: KeyAuthenticator,
        listener: StompListener,
        port: int,
    ) -> None:
        self.store = store
        self.authenticator = authenticator
        self.listener = listener
        self.port = port
        self._wires: list[Wire] = []
        self._versions: dict[tuple[str, str, str], str] = {}

    async def connect(self, *, receive_buffer: int | None = None) -> Wire:
        """Open a raw connection; it is closed with the side."""
        wire = await Wire.open(self.port, receive_buffer=receive_buffer)
        self._wires.append(wire)
        return wire

    async def append(
        self,
        entity_id: str,
        *data: str,
        entity_type: str = "Order",
        event_type: str = "Ordered",
        space: str = "default",
        metadata: str | None = None,
    ) -> list[str]:
        """Append events to an entity, new or not; returns their ids."""
        events = [NewEvent(event_type, each, metadata) for each in data]
        key = (space, entity_type, entity_id)
        version = self._versions.get(key)
        appended = await (
            self.store.create(space, entity_type, events, entity_id=entity_id)
            if version is None
            else self.store.append(space, entity_type, entity_id, version, events)
        )
        self._versions[key] = appended.entity_version
        return appended.event_ids

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that nothing tells of."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.002)

    async def until_acknowledged(self, number: int) -> None:
        """Wait until so many acknowledgements have been taken since the start."""
        await self.until(lambda: self.store.statistics.acknowledgements >= number)
        assert self.store.statistics.acknowledgements == number

    async def until_alone(self) -> None:
        """Wait until no connection is open and no subscription is consumed."""
        await self.until(lambda: not self.listener.connections and not self.store.consumers)

    @property
    def sessions(self) -> set[Session]:
        """The open ones: their insides are looked at where nothing else tells."""
        return self.listener._sessions

    async def still_serves(self) -> None:
        """Whatever happened on other connections, a new one works."""
        [event_id] = await self.append("still", "{}", entity_type="Still", event_type="Serves")
        wire = await self.connect()
        await wire.log_in()
        await wire.subscribe("still", {"Still": ["Serves"]}, options={"durability": "TRANSIENT"})
        while (await wire.message()).body["id"] != event_id:
            pass  # from an earlier call
        wire.abort()

    def close_wires(self) -> None:
        """Cut all connections that are still open."""
        for wire in self._wires:
            wire.abort()
        self._wires.clear()


@contextlib.asynccontextmanager
async def stomp_side(
    database: Path,
    limits: Limits | None = None,
    authenticator: KeyAuthenticator | None = None,
    policy: DeliveryPolicy | None = None,
) -> AsyncIterator[StompSide]:
    """Open a STOMP side, and close it so that nothing of it is left."""
    limits = limits or Limits()
    authenticator = authenticator or KeyAuthenticator(allow_open=True)
    store = EmbeddedEventStore(open_engine(f"sqlite:{database}"), limits=limits, policy=policy)
    await store.start()
    listener = StompListener(store, authenticator, limits)
    port = await listener.start("127.0.0.1", 0, None)
    side = StompSide(store, authenticator, listener, port)
    try:
        yield side
    finally:
        side.close_wires()
        await listener.stop()
        await store.stop()
        assert listener.connections == 0
        assert store.consumers == 0


Opening = Callable[..., AbstractAsyncContextManager[StompSide]]


@pytest.fixture
def open_stomp(tmp_path: Path) -> Opening:
    """Opens a STOMP side: ``async with open_stomp(limits, authenticator, policy) as stomp``."""

    def opening(
        limits: Limits | None = None,
        authenticator: KeyAuthenticator | None = None,
        policy: DeliveryPolicy | None = None,
    ) -> AbstractAsyncContextManager[StompSide]:
        return stomp_side(tmp_path / "events.db", limits, authenticator, policy)

    return opening


@pytest.fixture
async def stomp(open_stomp: Opening) -> AsyncIterator[StompSide]:
    """One with the default limits and open access."""
    async with open_stomp() as side:
        yield side


@pytest.fixture
async def wire(stomp: StompSide) -> Wire:
    """A raw connection to it, not yet logged in."""
    return await stomp.connect()


@pytest.fixture(autouse=True)
def nothing_unexpected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client sends, the log holds no error and no traceback."""
    yield
    assert unexpected(caplog.get_records("setup") + caplog.get_records("call")) == []


def unexpected(records: Sequence[logging.LogRecord]) -> list[str]:
    """Return what in a log says that the server met what it did not expect."""
    return [
        record.getMessage()
        for record in records
        if record.levelno >= logging.ERROR or record.exc_info
    ]
