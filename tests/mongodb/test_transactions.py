"""The server's own transactions hold what ours takes for granted of MongoDB's."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError, PyMongoError

from tests.mongodb.mongo_process import MongoProcess

Document = dict[str, Any]


@pytest.fixture
def client(transactional_database: str) -> Iterator[MongoClient[Document]]:
    """A client whose database has the collections ``a`` and ``b``, with a document in ``a``."""
    with MongoClient[Document](transactional_database) as client:
        database = client.get_default_database()
        database.create_collection("b")
        database["a"].insert_one({"_id": 1, "n": 1})
        yield client


def test_a_transaction_is_seen_as_a_whole(client: MongoClient[Document]) -> None:
    """Whoever reads while it is open sees what was before it, or waits for its end."""
    database = client.get_default_database()
    answers: queue.Queue[tuple[object, object]] = queue.Queue()

    def read() -> None:
        answers.put((database["a"].find_one({"_id": 1}), database["b"].find_one({"_id": 2})))

    with client.start_session() as session, session.start_transaction():
        database["a"].replace_one({"_id": 1}, {"n": 2}, session=session)
        reader = threading.Thread(target=read)
        reader.start()
        database["b"].insert_one({"_id": 2}, session=session)
    reader.join(30)
    assert answers.get_nowait() == ({"_id": 1, "n": 2}, {"_id": 2})


def test_one_that_is_given_up_leaves_nothing(client: MongoClient[Document]) -> None:
    database = client.get_default_database()
    with client.start_session() as session:
        session.start_transaction()
        database["b"].insert_one({"_id": 2}, session=session)
        database["a"].replace_one({"_id": 1}, {"n": 2}, session=session)
        database["a"].insert_one({"_id": 3}, session=session)
        with pytest.raises(DuplicateKeyError):
            database["a"].insert_one({"_id": 1}, session=session)
        session.abort_transaction()
    assert list(database["a"].find()) == [{"_id": 1, "n": 1}]
    assert list(database["b"].find()) == []


def test_one_whose_client_is_gone_is_given_up(
    client: MongoClient[Document], transactional_database: str
) -> None:
    database = client.get_default_database()
    with MongoClient[Document](transactional_database) as leaving:
        session = leaving.start_session()
        session.start_transaction()
        leaving[database.name]["a"].replace_one({"_id": 1}, {"n": 2}, session=session)
    assert database["a"].find_one() == {"_id": 1, "n": 1}


def test_a_kill_leaves_those_that_were_committed(
    client: MongoClient[Document], replica_set_process: MongoProcess
) -> None:
    database = client.get_default_database()
    with client.start_session() as session, session.start_transaction():
        database["a"].insert_one({"_id": 2}, session=session)
        database["b"].insert_one({"_id": 2}, session=session)
    session = client.start_session()
    session.start_transaction()
    database["b"].insert_one({"_id": 3}, session=session)
    replica_set_process.kill()
    replica_set_process.start()
    assert list(database["a"].find()) == [{"_id": 1, "n": 1}, {"_id": 2}]
    assert list(database["b"].find()) == [{"_id": 2}]
    with pytest.raises(PyMongoError):
        session.commit_transaction()
