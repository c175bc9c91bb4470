"""PostgreSQL for the tests of its engine."""

from tests.postgres.fixtures import own_postgres, postgres, postgres_url

__all__ = ["own_postgres", "postgres", "postgres_url"]
