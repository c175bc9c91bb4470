"""The JetStream engine: the contract, and what is its own."""

import pytest

from eventuary.engines.engine import Engine
from eventuary.engines.opening import open_engine
from tests.engines.contract import EngineContract


class TestJetStreamEngine(EngineContract):
    @pytest.fixture(autouse=True)
    def _storage(self, nats_url: str) -> None:
        self.url = nats_url

    def make(self) -> Engine:
        return open_engine(self.url)
