"""PostgreSQL, NATS, and pairs of engines to migrate between."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.nats.fixtures import nats_cluster, nats_url
from tests.postgres.fixtures import postgres, postgres_url

__all__ = ["nats_cluster", "nats_url", "pair", "postgres", "postgres_url"]


class Pair(NamedTuple):
    """URLs of a source and a target, neither of which is there yet."""

    source: str
    target: str


#: Each engine is a target of SQLite; all other ways are gone in ``make torture``.
_PAIRS = [("sqlite", "sqlite"), ("sqlite", "postgresql"), ("sqlite", "nats")]
_MORE_PAIRS = [
    ("postgresql", "sqlite"),
    ("nats", "sqlite"),
    ("postgresql", "nats"),
    ("nats", "postgresql"),
    ("nats", "nats"),
]


@pytest.fixture(
    params=[*_PAIRS, *(pytest.param(pair, marks=pytest.mark.torture) for pair in _MORE_PAIRS)],
    ids=" to ".join,
)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """Each pair of engines in turn."""

    def url(kind: str, name: str) -> str:
        if kind == "sqlite":
            return f"sqlite:{tmp_path / name}.db"
        if kind == "nats":
            of_a_log: str = request.getfixturevalue("nats_url")
            return of_a_log.replace("?", f"-{name}?")
        of_a_schema: str = request.getfixturevalue("postgres_url")
        return of_a_schema

    source, target = request.param
    return Pair(url(source, "source"), url(target, "target"))
