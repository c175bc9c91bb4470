"""Materialized views: what queries read, kept up to date by events.

``eventuary.views.sql`` keeps them in SQL databases, ``eventuary.views.mongodb`` in MongoDB.
"""

from eventuary.views.collection import DELETE, Collection, Deletion, UnreadableDocument
from eventuary.views.declaration import ViewStatus
from eventuary.views.rebuilding import Progress, rebuild
from eventuary.views.view import View
from eventuary.views.view_context import ViewContext

__all__ = [
    "DELETE",
    "Collection",
    "Deletion",
    "Progress",
    "UnreadableDocument",
    "View",
    "ViewContext",
    "ViewStatus",
    "rebuild",
]
