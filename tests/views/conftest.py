"""Event stores and storages for the tests of views: each of them real, and each test's own."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from eventuary import EventStore
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.remote import RemoteEventStore
from eventuary.testing import memory_store
from eventuary.views.sql import SqlDocuments
from eventuary.views.storage import DocumentStorage
from tests.remote.many_servers import ManyServers

#: Makes storages over the database of a test, each as another process has it.
MakeStorage = Callable[[], DocumentStorage]


@pytest.fixture(scope="package")
def servers() -> Iterator[ManyServers]:
    with ManyServers() as running:
        yield running


@pytest.fixture(params=["embedded", "remote"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, servers: ManyServers
) -> AsyncIterator[EventStore]:
    """An event store in this process, and a server's."""
    if request.param == "embedded":
        async with memory_store() as embedded:
            yield embedded
        return
    http_port, stomp_port = servers.start(tmp_path)
    async with RemoteEventStore(f"http://127.0.0.1:{http_port}?stomp_port={stomp_port}") as remote:
        yield remote
    servers.stop(http_port)


@pytest.fixture
async def lasting_store(tmp_path: Path) -> AsyncIterator[EmbeddedEventStore]:
    """An event store in a file."""
    async with EmbeddedEventStore(open_engine(f"sqlite:{tmp_path / 'events.db'}")) as store:
        yield store


@pytest.fixture(params=["sqlite", "mongodb"])
def make_storage(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStorage:
    """A SQLite file, and a MongoDB database."""
    if request.param == "sqlite":
        return lambda: SqlDocuments(f"sqlite:///{tmp_path / 'views.db'}")
    from eventuary.views.mongodb import MongoDocuments

    url = request.getfixturevalue("mongodb_database")
    return lambda: MongoDocuments(url)


@pytest.fixture
async def storage(make_storage: MakeStorage) -> AsyncIterator[DocumentStorage]:
    storage = make_storage()
    yield storage
    await storage.close()
