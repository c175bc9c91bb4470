"""PostgreSQL and NATS for the tests of their engines."""

from tests.nats.fixtures import nats_cluster, nats_url, own_nats_cluster
from tests.postgres.fixtures import own_postgres, postgres, postgres_url

__all__ = [
    "nats_cluster",
    "nats_url",
    "own_nats_cluster",
    "own_postgres",
    "postgres",
    "postgres_url",
]
