"""Fixtures: one server for each process that runs tests, and for each test a schema of its own."""

import itertools
from collections.abc import Iterator

import pytest

from tests.postgres.process import PostgresProcess

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresProcess]:
    """A server that all tests of this process share; it is not to be stopped."""
    server = PostgresProcess()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres: PostgresProcess) -> str:
    """An engine's URL, of a schema that nobody else uses and that is not there yet."""
    return f"{postgres.url}?schema=test_{next(_numbers)}"


@pytest.fixture
def own_postgres() -> Iterator[PostgresProcess]:
    """A server of this test alone, started."""
    server = PostgresProcess()
    try:
        server.start()
        yield server
    finally:
        server.remove()
