"""Removing all of a view from its database, behind its back."""

from sqlalchemy import MetaData

from eventuary.views.mongodb.documents import KeptInMongo
from eventuary.views.sql.documents import KeptInSql
from tests.views.ledger import Ledger


async def remove_all(ledger: Ledger) -> None:
    """Drop every table, or the database."""
    kept = ledger.kept
    if isinstance(kept, KeptInSql):
        metadata = MetaData()
        await kept._database.read(metadata.reflect)
        await kept._database.write(metadata.drop_all)
    else:
        assert isinstance(kept, KeptInMongo)
        await kept._database.client.drop_database(kept._database.name)
