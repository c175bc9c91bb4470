"""PostgreSQL and NATS for the tests of commands that may use them."""

from tests.nats.fixtures import nats_cluster, nats_url
from tests.postgres.fixtures import postgres, postgres_url

__all__ = ["nats_cluster", "nats_url", "postgres", "postgres_url"]
