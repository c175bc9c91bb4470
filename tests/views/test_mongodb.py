"""Documents in MongoDB: the contract, and what is MongoDB's own."""

import pytest

from eventuary.views.mongodb import MongoDocuments
from tests.views.contract import DocumentStorageContract


class TestMongoDB(DocumentStorageContract):
    """In a database of its own."""

    @pytest.fixture(autouse=True)
    def _database(self, mongodb_database: str) -> None:
        self._url = mongodb_database

    def make(self) -> MongoDocuments:
        return MongoDocuments(self._url)


class TestTransactions(DocumentStorageContract):
    """In a database that has transactions."""

    @pytest.fixture(autouse=True)
    def _database(self, transactional_database: str) -> None:
        self._url = transactional_database

    def make(self) -> MongoDocuments:
        return MongoDocuments(self._url)
