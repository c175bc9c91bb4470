"""One subscriber's consumers on several servers over one NATS cluster: the same tests.

The log has three partitions, which none of these tests can tell, but for the one left out: of where
a reset begins, test_partitions.py knows more.
"""

import contextlib
from collections.abc import AsyncIterator

import pytest

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.jetstream.leasing import JetStreamLeasing
from eventuary.engines.opening import open_engine
from tests.delivery import test_leases_that_end, test_several_servers
from tests.delivery.servers import lease_seconds

__all__ = ["lease_seconds"]


@pytest.fixture
def postgres_url(nats_url: str) -> str:
    """Those tests open engines of this URL, whatever it names."""
    return f"{nats_url}&streams=3"


@pytest.fixture
async def stores(
    postgres_url: str, lease_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[EmbeddedEventStore]]:
    monkeypatch.setattr(JetStreamLeasing, "lease_seconds", lease_seconds)
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(EmbeddedEventStore(open_engine(postgres_url)))
            for _ in range(3)
        ]


globals().update(
    {
        name: test
        for suite in (test_several_servers, test_leases_that_end)
        for name, test in vars(suite).items()
        if name.startswith("test_") and name != "test_a_reset_on_one_server_holds_on_all"
    }
)
