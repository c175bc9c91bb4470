"""The embedded event store over JetStream: the contract, with swimlanes that must be leased."""

import pytest

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.event_store import EventStore
from tests.event_store.contract import EventStoreContract


class TestEmbeddedEventStoreOverJetStream(EventStoreContract):
    @pytest.fixture(autouse=True)
    def _storage(self, nats_url: str) -> None:
        self.url = nats_url

    async def open(self) -> EmbeddedEventStore:
        store = EmbeddedEventStore(open_engine(self.url))
        await store.start()
        return store

    async def shut(self, store: EventStore) -> None:
        assert isinstance(store, EmbeddedEventStore)
        await store.stop()
