"""The embedded event store over JetStream: the contract, with swimlanes that must be leased."""

import pytest

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.jetstream.leasing import JetStreamLeasing
from eventuary.engines.opening import open_engine
from eventuary.event_store import EventStore
from tests.event_store.contract import EventStoreContract


class TestEmbeddedEventStoreOverJetStream(EventStoreContract):
    @pytest.fixture(autouse=True)
    def _storage(self, nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = nats_url
        # Longer than any machine stands still: what comes again then is no matter of this contract.
        monkeypatch.setattr(JetStreamLeasing, "lease_seconds", 60.0)

    async def open(self) -> EmbeddedEventStore:
        store = EmbeddedEventStore(open_engine(self.url))
        await store.start()
        return store

    async def shut(self, store: EventStore) -> None:
        assert isinstance(store, EmbeddedEventStore)
        await store.stop()
