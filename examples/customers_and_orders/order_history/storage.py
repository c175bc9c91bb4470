"""Where the order history is kept: MongoDB when there is one, else a SQL database."""

import os

from customers_and_orders.order_history.history import order_history
from eventuary.views.sql import SqlDocuments
from eventuary.views.storage import DocumentStorage
from eventuary.views.view import View

#: A SQLite file in the present folder.
DEFAULT = "order-history.db"


def open_storage(mongodb: str | None, database: str) -> DocumentStorage:
    """Return the storage at ``mongodb``, a URL that names a database; None: at ``database``.

    That is a SQLite file, or a URL as SQLAlchemy writes them. Raises ConfigurationError.
    """
    if mongodb:
        from eventuary.views.mongodb import MongoDocuments

        return MongoDocuments(mongodb)
    return SqlDocuments(database if "://" in database else f"sqlite:///{database}")


def views() -> View:
    """Return the view as the environment says, for ``eventuary views``."""
    return order_history(
        open_storage(os.environ.get("MONGODB_URL"), os.environ.get("ORDER_HISTORY", DEFAULT))
    ).view
