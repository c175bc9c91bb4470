"""Views in MongoDB, 4.4 and up: a collection a collection and generation, a document a document."""

from eventuary.views.mongodb.documents import MongoDocuments

__all__ = ["MongoDocuments"]
