"""Documents in SQL databases: SQLite here, PostgreSQL where the tests have one."""

from pathlib import Path

import pytest

from eventuary.views.sql import SqlDocuments
from tests.views.contract import DocumentStorageContract


class TestSqlite(DocumentStorageContract):
    """In a SQLite file."""

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self._url = f"sqlite:///{tmp_path / 'views.db'}"

    def make(self) -> SqlDocuments:
        return SqlDocuments(self._url)
