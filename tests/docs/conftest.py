"""A reader for each test, in a folder of their own; and one whom many tests ask."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.docs.reader import Reader
from tests.postgres.fixtures import postgres
from tests.postgres.process import PostgresProcess

__all__ = ["host", "postgres", "reader", "reader_with_postgres"]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Reads pages, and does what they say."""
    _look_for_programs()
    with Reader(tmp_path) as person:
        yield person


@pytest.fixture
def reader_with_postgres(tmp_path: Path, postgres: PostgresProcess) -> Iterator[Reader]:
    """Has a PostgreSQL on port 5432, as pages show it, with a database ``shop``."""
    _look_for_programs()

    async def make() -> None:
        connection = await asyncpg.connect(postgres.url)
        await connection.execute("CREATE ROLE eventuary LOGIN")
        await connection.execute("CREATE DATABASE shop OWNER eventuary")
        await connection.close()

    asyncio.run(make())
    with Reader(tmp_path, {"5432": postgres.port}) as person:
        yield person


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Has started a server without keys, for tests that ask it and change nothing that matters."""
    _look_for_programs()
    with Reader(tmp_path_factory.mktemp("host")) as person:
        person.serve()
        yield person


def _look_for_programs() -> None:
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"the pages use {program}, which this machine does not have")
