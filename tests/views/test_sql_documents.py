"""Documents in SQL databases: SQLite, and PostgreSQL by psycopg."""

import itertools
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from eventuary.views.sql import SqlDocuments
from tests.postgres.fixtures import postgres
from tests.postgres.process import PostgresProcess
from tests.views.contract import DocumentStorageContract

__all__ = ["postgres"]  # a fixture, taken over as it is

_numbers = itertools.count(1)


class TestSqlite(DocumentStorageContract):
    """In a SQLite file."""

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self._url = f"sqlite:///{tmp_path / 'views.db'}"

    def make(self) -> SqlDocuments:
        return SqlDocuments(self._url)


class TestPostgres(DocumentStorageContract):
    """In a PostgreSQL database: row locks, and tables that two may try to make at once."""

    @pytest.fixture(autouse=True)
    def _schema(self, postgres: PostgresProcess) -> None:
        schema = f"views_{next(_numbers)}"
        dsn = postgres.url.replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(dsn)
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        engine.dispose()
        self._url = f"{dsn}?options=-csearch_path%3D{schema}"

    def make(self) -> SqlDocuments:
        return SqlDocuments(self._url)
