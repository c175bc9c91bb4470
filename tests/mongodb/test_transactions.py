"""The server's own transactions hold what ours takes for granted of MongoDB's."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

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


def test_a_transaction_is_seen_by_others_when_it_is_committed(
    client: MongoClient[Document],
) -> None:
    database = client.get_default_database()
    with client.start_session() as session, session.start_transaction():
        database["a"].replace_one({"_id": 1}, {"n": 2}, session=session)
        database["b"].insert_one({"_id": 2}, session=session)
        assert list(database["a"].find({}, session=session)) == [{"_id": 1, "n": 2}]
        assert list(database["a"].find()) == [{"_id": 1, "n": 1}]
        assert list(database["b"].find()) == []
    assert list(database["a"].find()) == [{"_id": 1, "n": 2}]
    assert list(database["b"].find()) == [{"_id": 2}]


def test_of_two_that_touch_the_same_one_fails(client: MongoClient[Document]) -> None:
    database = client.get_default_database()
    with client.start_session() as first, client.start_session() as second:
        for session in (first, second):
            session.start_transaction()
            assert database["a"].find_one({"_id": 1}, session=session) == {"_id": 1, "n": 1}
        database["a"].update_one({"_id": 1}, {"$inc": {"n": 1}}, session=first)
        first.commit_transaction()
        with pytest.raises(OperationFailure) as refused:
            database["a"].update_one({"_id": 1}, {"$inc": {"n": 1}}, session=second)
        assert refused.value.has_error_label("TransientTransactionError")
        assert refused.value.code == 112
    assert list(database["a"].find()) == [{"_id": 1, "n": 2}]


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
