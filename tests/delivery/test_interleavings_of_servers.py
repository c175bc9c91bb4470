"""Any interleaving of what consumers of two servers over one database do, by the law of delivery.

The world is that of ``interleaving``; what is done goes to one server or the other.
"""

import itertools
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.engines.postgres.leasing import PostgresLeasing
from tests.delivery.interleaving import POLICY, World, endings, play_in, steps_of_servers
from tests.postgres.process import PostgresProcess

_schemas = itertools.count(1)


class WorldOfServers(World):
    """Two stores over one database; each look at ``store`` shows the other one."""

    def __init__(self, url: str) -> None:
        super().__init__(Path())
        self._url = url
        self._turns = itertools.cycle((0, 1))

    @property
    def store(self) -> EmbeddedEventStore:
        return self.stores[next(self._turns)]

    async def open(self) -> None:
        self.stores = [EmbeddedEventStore(open_engine(self._url), policy=POLICY) for _ in range(2)]
        for each in self.stores:
            await each.start()

    async def finish(self, ending: str) -> None:
        for each in self.stores:  # a lag is that of the log as a server knows it
            await each.engine.newest_heads()
        await super().finish(ending)


@pytest.fixture(autouse=True)
def _leases_that_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than any machine is busy: they are lost when the script says so."""
    monkeypatch.setattr(PostgresLeasing, "lease_seconds", 60.0)
    monkeypatch.setattr("eventuary.delivery.tenancy._LOOK_EVERY", 0.02)
    monkeypatch.setattr("eventuary.delivery.tenancy._RENEW_EVERY", 0.02)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(steps_of_servers, min_size=10, max_size=60), endings)
def test_no_interleaving_loses_or_disorders_events(
    postgres: PostgresProcess, script: list[tuple[str, int, int]], ending: str
) -> None:
    world = WorldOfServers(f"{postgres.url}?schema=world_{next(_schemas)}")
    uvloop.run(play_in(world, script, ending))
