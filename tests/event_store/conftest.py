"""PostgreSQL for the event stores over it."""

from tests.postgres.fixtures import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]
