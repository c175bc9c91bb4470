"""Several processes open a view in a SQL database for the first time, at the same moment."""

import asyncio
from pathlib import Path

import pytest

from eventuary.views.sql import SqlDocuments
from tests.views.ledger import Ledger


@pytest.mark.timeout(300)  # more than a hundred files that are synced
async def test_tables_that_others_make_are_used(tmp_path: Path) -> None:
    for round_ in range(20):
        url = f"sqlite:///{tmp_path / f'{round_}.db'}"
        storages = [SqlDocuments(url) for _ in range(6)]
        opened = await asyncio.gather(*(Ledger(each).kept.open_live() for each in storages))
        assert set(opened) == {1}
        for each in storages:
            await each.close()
