"""A view's document as MongoDB has it: its fields as they are in JSON, and its guard.

    {_id: key, …, _eventuary: {applied: {"<swimlane>": position}, revision, deleted?}}

``applied`` says for each swimlane the position of the last event that is in the document: events
at or below it are passed over. ``revision`` is another one with each change, so that a change is
written only over what it was made from. A deleted document stays, with its guard alone.
"""

from typing import Any, NamedTuple, TypeVar

import bson
import msgspec
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from eventuary.views.collection import Collection
from eventuary.views.mongodb.database import MongoDocument

_D = TypeVar("_D")

#: The field of the guard.
GUARD = "_eventuary"

#: Bytes of a document that MongoDB takes.
MOST_BYTES = 16 * 1024 * 1024

#: What says that a document can't be stored: a type without a form in JSON, an integer of more than
#: 64 bits, text that is not Unicode, a NUL in a field's name, too many bytes.
NOT_STORABLE = (TypeError, ValueError, OverflowError, RecursionError, BSONError)


class Found(NamedTuple):
    """A document that is in the database. ``fields``: None when it is deleted."""

    key: str
    fields: MongoDocument | None
    applied: dict[str, int]
    revision: object

    @classmethod
    def of(cls, stored: MongoDocument) -> "Found":
        """Read what the driver has returned."""
        key = stored.pop("_id")
        guard = stored.pop(GUARD, {})
        return cls(
            key,
            None if guard.get("deleted") else stored,
            guard.get("applied", {}),
            guard.get("revision"),
        )


def from_fields(collection: Collection[_D], key: str, fields: MongoDocument) -> _D:
    """Return the document that has these fields. Raises UnreadableDocument."""
    try:
        return msgspec.convert(fields, collection.document, str_keys=True)
    except msgspec.MsgspecError as error:
        raise collection.unreadable(key, error) from error


def to_bson(
    collection: Collection[Any],
    key: str,
    document: object | None,
    applied: dict[str, int],
    revision: object,
) -> RawBSONDocument:
    """Return what is stored for a document; None: for a deleted one.

    Raises one of NOT_STORABLE.
    """
    guard: MongoDocument = {"applied": applied, "revision": revision}
    if document is None:
        guard["deleted"] = True
        fields: MongoDocument = {}
    else:
        fields = _fields(collection, document)
    encoded = bson.encode({"_id": key, **fields, GUARD: guard})
    if len(encoded) > MOST_BYTES:
        raise ValueError(
            f"document {key[:80]!r} of collection {collection.name!r}: {len(encoded)} bytes; "
            f"MongoDB takes {MOST_BYTES} at most"
        )
    return RawBSONDocument(encoded)


def check_form(collection: Collection[Any]) -> None:
    """Raise TypeError for a collection whose documents have no form in MongoDB."""
    _fields(collection, collection.new("key"))


def _fields(collection: Collection[Any], document: object) -> MongoDocument:
    fields = msgspec.to_builtins(document, str_keys=True)
    if not isinstance(fields, dict):
        raise TypeError(
            f"collection {collection.name!r}: {collection.document.__name__} has the form of a "
            f"{type(fields).__name__}; MongoDB keeps fields with names"
        )
    for name in ("_id", GUARD):
        if name in fields:
            raise TypeError(
                f"collection {collection.name!r}: {collection.document.__name__} has a field "
                f"{name!r}, which is not its own in MongoDB; give it another name there"
            )
    return fields
