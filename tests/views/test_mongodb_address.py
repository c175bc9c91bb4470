"""What MongoDocuments takes for a database, and what it says of others."""

import asyncio
from contextlib import suppress

import pytest

from eventuary import ConfigurationError, ServiceUnavailable
from eventuary.views.mongodb import MongoDocuments
from eventuary.views.mongodb.database import MongoDatabase
from tests.mongodb.mongo_process import MongoProcess
from tests.views.ledger import Ledger


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("mongodb://h:27017", "'mongodb://h:27017': No default database name"),
        ("postgresql://h/d", "Invalid URI scheme"),
        ("h/d", "Invalid URI scheme"),
        ("mongodb://u:se%cret@h/d", "'mongodb://h/d': Username and password must be escaped"),
        ("mongodb://u:secret@h:port/d", "'mongodb://h:port/d': Port contains non-digit"),
        ("mongodb://u:secret@h/d?w=0", "'mongodb://h/d': w=0: a view must know what was written"),
        ("mongodb://h/d?w=1&tls=true&ssl=false", "'mongodb://h/d': "),
    ],
)
def test_what_is_no_database_is_refused_at_once(url: str, complaint: str) -> None:
    """And a password is not shown."""
    with pytest.raises(ConfigurationError) as refused:
        MongoDocuments(url)
    text = str(refused.value)
    assert complaint in text
    assert "cret" not in text
    assert "\n" not in text


async def test_what_is_written_is_on_the_disks_of_a_majority() -> None:
    database = MongoDatabase("mongodb://127.0.0.1:1/d")
    assert database.client.write_concern.document == {"w": "majority", "j": True}
    assert database.collection("c").read_concern.level == "majority"
    await database.close()


async def test_the_urls_own_options_go_first() -> None:
    database = MongoDatabase("mongodb://127.0.0.1:1/d?w=2&JOURNAL=false&connectTimeoutMS=70")
    assert database.client.write_concern.document == {"w": 2, "j": False}
    assert database.client.options.pool_options.connect_timeout == 0.07
    await database.close()


async def test_a_database_that_is_not_there_is_said_to_be_in_one_line(
    mortal_mongodb: MongoProcess,
) -> None:
    """And once it is there, it is found, without a new storage."""
    storage = MongoDocuments(f"{mortal_mongodb.url}/not_there?serverSelectionTimeoutMS=300")
    ledger = Ledger(storage)
    mortal_mongodb.kill()
    for call in (ledger.kept.open_live, ledger.kept.generations):
        with pytest.raises(ServiceUnavailable) as refused:
            await call()
        text = str(refused.value)
        assert text.startswith(
            f"the view's database: ServerSelectionTimeoutError: 127.0.0.1:{mortal_mongodb.port}: "
        )
        assert text.endswith(f"('127.0.0.1', {mortal_mongodb.port})")
        assert "\n" not in text
    mortal_mongodb.start()
    async with asyncio.timeout(60):
        while True:
            with suppress(ServiceUnavailable):  # it answers its first calls slowly
                assert await ledger.kept.open_live() == 1
                break
    await storage.close()


async def test_after_close_it_opens_again(mongodb_database: str) -> None:
    storage = MongoDocuments(mongodb_database)
    ledger = Ledger(storage)
    await ledger.kept.open_live()
    await storage.close()
    assert len(await ledger.kept.generations()) == 1
    await ledger.kept.close()
    await ledger.kept.close()


def test_each_event_loop_has_a_client_of_its_own(mongodb_database: str) -> None:
    """A storage may be made where none runs, and be used in one after the other."""
    storage = MongoDocuments(mongodb_database)
    ledger = Ledger(storage)

    async def once() -> int:
        live = await ledger.kept.open_live()
        await storage.close()
        return live

    assert [asyncio.run(once()) for _ in range(3)] == [1, 1, 1]
