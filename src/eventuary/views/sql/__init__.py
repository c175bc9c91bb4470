"""Views in a SQL database, any that SQLAlchemy speaks: documents, or tables of the user's own."""

from eventuary.views.sql.documents import SqlDocuments
from eventuary.views.sql.tables import Change, TableView

__all__ = ["Change", "SqlDocuments", "TableView"]
