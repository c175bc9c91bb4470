"""Fixtures for all tests that need MongoDB: ``pytest_plugins`` of ``tests/conftest.py`` has them.

Where no server can be had, tests that ask for one are skipped and say so; where ``CI`` is ``true``,
they fail.
"""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from pymongo import MongoClient

from tests.mongodb.build import Unavailable, server_command
from tests.mongodb.database_url import database_url
from tests.mongodb.mongo_process import MongoProcess


@pytest.fixture(scope="session")
def mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that many tests share, without a database: ``MONGODB_URL``, or one of ours."""
    given = os.environ.get("MONGODB_URL")
    if given:
        yield given
        return
    process = started(tmp_path_factory)
    yield process.url
    process.close()


@pytest.fixture
def mongodb_database(mongodb_url: str) -> Iterator[str]:
    """The URL of a database of this test's own, which is dropped behind it."""
    yield from _database(mongodb_url)


@pytest.fixture(scope="session")
def replica_set_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoProcess]:
    """A server of ours that has transactions. Whoever kills it starts it again."""
    process = started(tmp_path_factory, "eventuary")
    yield process
    process.close()


@pytest.fixture
def transactional_database(replica_set_process: MongoProcess) -> Iterator[str]:
    """The URL of a database of this test's own, where there are transactions."""
    yield from _database(replica_set_process.url)


@pytest.fixture(scope="session")
def mortal_mongodb_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoProcess]:
    """What ``mortal_mongodb`` runs."""
    process = started(tmp_path_factory)
    yield process
    process.close()


@pytest.fixture
def mortal_mongodb(mortal_mongodb_process: MongoProcess) -> MongoProcess:
    """A server to be killed and started again. Databases of earlier tests are in it."""
    if not mortal_mongodb_process.running:
        mortal_mongodb_process.start()
    return mortal_mongodb_process


def _database(server: str) -> Iterator[str]:
    name = f"eventuary_test_{uuid4().hex}"
    yield database_url(server, name)
    with MongoClient[dict[str, object]](server) as client:
        client.drop_database(name)


def started(directories: pytest.TempPathFactory, replica_set: str | None = None) -> MongoProcess:
    """Start a server of ours. Skips, or fails, the test when none can be had here."""
    try:
        command = server_command()
    except Unavailable as unavailable:
        reason = f"left out, as no MongoDB can be started: {unavailable}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason.partition("\n")[0])
    return MongoProcess(command, directories.mktemp("mongodb"), replica_set).start()
