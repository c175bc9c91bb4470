"""A process that feeds the ledger of tests/views, to be killed at any moment.

    python -m tests.torture.ledger_process STORE

``LEDGER`` says where the view is kept. ``eventuary views --app tests.torture.ledger_process:views``
rebuilds it. Prints ``ready`` when it is fed.
"""

import asyncio
import os
import sys

from eventuary import connect, running
from eventuary.views import View
from eventuary.views.storage import DocumentStorage
from tests.views.ledger import Ledger

#: The variable that says where the view is kept.
VARIABLE = "LEDGER"


def storage_at(url: str) -> DocumentStorage:
    """Return the storage at a URL of MongoDB's or SQLAlchemy's."""
    if url.startswith("mongodb"):
        from eventuary.views.mongodb import MongoDocuments

        return MongoDocuments(url)
    from eventuary.views.sql import SqlDocuments

    return SqlDocuments(url)


def views() -> View:
    """Return the view."""
    return Ledger(storage_at(os.environ[VARIABLE])).view


async def _feed(store_url: str) -> None:
    async with connect(store_url) as store, running(store, views()):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_feed(sys.argv[1]))
