"""The server holds what our tests take for granted of it."""

import socket
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from pymongo import InsertOne, MongoClient, ReplaceOne
from pymongo.errors import BulkWriteError

from tests.mongodb.database_url import database_url
from tests.mongodb.fixtures import started
from tests.mongodb.mongo_process import MongoProcess

Document = dict[str, object]


def test_a_conditional_replacement_of_two_at_once_happens_once(mongodb_database: str) -> None:
    """Of many writers who count in one document, none overwrites another's number."""
    writers, rounds = 4, 25

    def count() -> None:
        with MongoClient[Document](mongodb_database) as client:
            counters = client.get_default_database()["counters"]
            done = 0
            while done < rounds:
                seen = counters.find_one({"_id": "one"})
                assert seen is not None
                revision = seen["revision"]
                assert isinstance(revision, int)
                done += counters.replace_one(
                    {"_id": "one", "revision": revision}, {"revision": revision + 1}
                ).matched_count

    with MongoClient[Document](mongodb_database) as client:
        counters = client.get_default_database()["counters"]
        counters.insert_one({"_id": "one", "revision": 0})
        threads = [threading.Thread(target=count) for _ in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counters.find_one() == {"_id": "one", "revision": writers * rounds}


def test_an_unordered_bulk_does_all_that_can_be_done(mongodb_database: str) -> None:
    with MongoClient[Document](mongodb_database) as client:
        things = client.get_default_database()["things"]
        things.insert_many([{"_id": 1, "of": {"n": 1}}, {"_id": 2, "of": {"n": 1}}])
        with pytest.raises(BulkWriteError) as refused:
            things.bulk_write(
                [
                    InsertOne({"_id": 1}),
                    InsertOne({"_id": 3}),
                    ReplaceOne({"_id": 1, "of.n": 1}, {"of": {"n": 2}}),
                    ReplaceOne({"_id": 2, "of.n": 9}, {"of": {"n": 10}}),
                ],
                ordered=False,
            )
        details = refused.value.details
        assert details is not None
        assert [error["code"] for error in details["writeErrors"]] == [11000]
        assert details["nMatched"] == 1
        found = things.find({"_id": {"$in": [1, 2, 3, 4]}}, sort=[("_id", 1)])
        assert list(found) == [
            {"_id": 1, "of": {"n": 2}},
            {"_id": 2, "of": {"n": 1}},
            {"_id": 3},
        ]


def test_what_is_answered_survives_a_kill(mortal_mongodb: MongoProcess) -> None:
    """And while the server is down, its port refuses connections and goes to nobody else."""
    name = f"eventuary_test_{uuid4().hex}"
    with MongoClient[Document](mortal_mongodb.url, serverSelectionTimeoutMS=30_000) as client:
        things = client[name]["things"]
        things.insert_many([{"_id": number} for number in range(100)])
        things.update_one({"_id": 7}, {"$set": {"seen": True}, "$push": {"list": 1}})
        mortal_mongodb.kill()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", mortal_mongodb.port), timeout=30)
        mortal_mongodb.start()
        assert things.count_documents({}) == 100
        assert things.find_one({"_id": 7}) == {"_id": 7, "seen": True, "list": [1]}


@pytest.mark.parametrize(
    ("server", "database"),
    [
        ("mongodb://h:1", "mongodb://h:1/d"),
        ("mongodb://h:1,i:2/?replicaSet=r", "mongodb://h:1,i:2/d?replicaSet=r"),
        ("mongodb://u:p@h/admin", "mongodb://u:p@h/d?authSource=admin"),
        ("mongodb://u:p@h/admin?w=1", "mongodb://u:p@h/d?w=1&authSource=admin"),
        ("mongodb://u:p@h/a?authSource=b", "mongodb://u:p@h/d?authSource=b"),
    ],
)
def test_the_url_of_a_database(server: str, database: str) -> None:
    assert database_url(server, "d") == database


@pytest.mark.parametrize(
    ("ci", "outcome"), [("false", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_without_a_server_tests_say_that_they_were_left_out(
    ci: str,
    outcome: type[BaseException],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine without Java; where ``CI`` is ``true``, they fail."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="left out, as no MongoDB can be started: no java on this"):
        started(tmp_path_factory)
