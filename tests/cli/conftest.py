"""PostgreSQL for the tests of commands that may use it."""

from tests.postgres.fixtures import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]
