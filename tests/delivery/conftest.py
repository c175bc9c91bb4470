"""PostgreSQL for delivery by several servers."""

from tests.postgres.fixtures import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]
