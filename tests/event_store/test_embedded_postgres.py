"""The embedded event store over PostgreSQL: the contract, with swimlanes that must be leased."""

import pytest

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.event_store import EventStore
from tests.event_store.contract import EventStoreContract


class TestEmbeddedEventStoreOverPostgres(EventStoreContract):
    @pytest.fixture(autouse=True)
    def _storage(self, postgres_url: str) -> None:
        self.url = postgres_url

    async def open(self) -> EmbeddedEventStore:
        store = EmbeddedEventStore(open_engine(self.url))
        await store.start()
        return store

    async def shut(self, store: EventStore) -> None:
        assert isinstance(store, EmbeddedEventStore)
        await store.stop()
