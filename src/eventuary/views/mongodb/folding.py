"""Folding: what a group of events makes of the documents that were found.

Nothing here asks the database anything; what can't be stored is found out before anything is.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, ReplaceOne

from eventuary.views.collection import Collection, Step, UnreadableDocument, fold
from eventuary.views.mongodb.database import MongoDocument
from eventuary.views.mongodb.stored_form import GUARD, NOT_STORABLE, Found, from_fields, to_bson
from eventuary.views.view_event import UpdateFailed

Write = InsertOne[Any] | ReplaceOne[Any]


class Change(NamedTuple):
    """One document's. It is written over what was found, or where nothing was found."""

    key: str
    found: Found | None
    steps: list[Step]
    after: RawBSONDocument

    @property
    def write(self) -> Write:
        """How the driver is told."""
        if self.found is None:
            return InsertOne(self.after)
        seen = {"_id": self.key, f"{GUARD}.revision": self.found.revision}
        return ReplaceOne(seen, self.after)


def changes_of(
    collection: Collection[Any],
    steps: Mapping[str, list[Step]],
    found: Mapping[str, Found],
    revision: object,
) -> list[Change]:
    """Return the changes of a collection. Documents that have it all already have none.

    Raises UpdateFailed.
    """
    changes = []
    for key, of_document in steps.items():
        before = found.get(key)
        applied = dict(before.applied) if before else {}
        new = [each for each in of_document if _is_new(each, applied)]
        if new:
            for event, _ in new:
                applied[str(event.swimlane)] = event.position
            after = _after(collection, key, before, new, applied, revision)
            changes.append(Change(key, before, new, after))
    return changes


def _is_new(step: Step, applied: Mapping[str, int]) -> bool:
    event = step[0]
    return event.position > applied.get(str(event.swimlane), 0)


def _after(
    collection: Collection[Any],
    key: str,
    found: Found | None,
    steps: list[Step],
    applied: dict[str, int],
    revision: object,
) -> RawBSONDocument:
    document = fold(collection, key, _document(collection, found, steps), steps)
    try:
        return to_bson(collection, key, document, applied, revision)
    except NOT_STORABLE as error:
        raise _first_failure(collection, key, found, steps, error) from error


def _first_failure(
    collection: Collection[Any],
    key: str,
    found: Found | None,
    steps: list[Step],
    error: Exception,
) -> UpdateFailed:
    """Return the failure of the event from which on the document can't be stored."""
    document = _document(collection, found, steps)
    for step in steps:
        document = fold(collection, key, document, [step])
        try:
            to_bson(collection, key, document, {}, None)
        except NOT_STORABLE as first:
            return UpdateFailed.of(step[0], first)
    return UpdateFailed.of(steps[-1][0], error)


def _document(collection: Collection[Any], found: Found | None, steps: list[Step]) -> object | None:
    if found is None or found.fields is None:
        return None
    fields: MongoDocument = found.fields
    try:
        document: object = from_fields(collection, found.key, fields)
    except UnreadableDocument as error:
        # It was stored by a program whose documents were of another form.
        raise UpdateFailed.of(steps[0][0], error) from error
    return document
