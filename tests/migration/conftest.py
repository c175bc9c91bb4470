"""PostgreSQL, and pairs of engines to migrate between."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.postgres.fixtures import postgres, postgres_url

__all__ = ["pair", "postgres", "postgres_url"]


class Pair(NamedTuple):
    """URLs of a source and a target, neither of which is there yet."""

    source: str
    target: str


@pytest.fixture(
    params=[("sqlite", "sqlite"), ("sqlite", "postgresql"), ("postgresql", "sqlite")],
    ids=" to ".join,
)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """Each pair of engines in turn."""

    def url(kind: str, name: str) -> str:
        if kind == "sqlite":
            return f"sqlite:{tmp_path / name}.db"
        of_a_schema: str = request.getfixturevalue("postgres_url")
        return of_a_schema

    source, target = request.param
    return Pair(url(source, "source"), url(target, "target"))
