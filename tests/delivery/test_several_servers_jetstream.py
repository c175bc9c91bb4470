"""One subscriber's consumers on several servers over one NATS cluster: the same tests.

The log has three partitions, which none of these tests can tell, but for the one left out: of where
a reset begins, test_partitions.py knows more.
"""

import pytest

from eventuary.engines.engine import Leasing
from eventuary.engines.jetstream.leasing import JetStreamLeasing
from tests.delivery import test_leases_that_end, test_several_servers
from tests.delivery.servers import lease_seconds, stores

__all__ = ["lease_seconds", "stores"]


@pytest.fixture
def postgres_url(nats_url: str) -> str:
    """Those tests open engines of this URL, whatever it names."""
    return f"{nats_url}&streams=3"


@pytest.fixture
def leasing_class() -> type[Leasing]:
    return JetStreamLeasing


globals().update(
    {
        name: test
        for suite in (test_several_servers, test_leases_that_end)
        for name, test in vars(suite).items()
        if name.startswith("test_") and name != "test_a_reset_on_one_server_holds_on_all"
    }
)
