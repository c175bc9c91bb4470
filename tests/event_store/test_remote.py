"""The remote event store over real servers in a process of their own: the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventuary.event_store import EventStore
from eventuary.remote import RemoteEventStore
from tests.event_store.contract import EventStoreContract
from tests.remote.many_servers import ManyServers


@pytest.fixture(scope="module")
def servers() -> Iterator[ManyServers]:
    with ManyServers() as running:
        yield running


class TestRemoteEventStore(EventStoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, servers: ManyServers, tmp_path: Path) -> Iterator[None]:
        http_port, stomp_port = servers.start(tmp_path)
        self.url = f"http://127.0.0.1:{http_port}?stomp_port={stomp_port}"
        yield
        servers.stop(http_port)

    async def open(self) -> EventStore:
        return await RemoteEventStore(self.url).__aenter__()

    async def shut(self, store: EventStore) -> None:
        await store.__aexit__(None, None, None)
