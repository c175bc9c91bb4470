"""Writing: many documents' changes in one bulk, and what became of each.

A replacement whose document has changed meanwhile matches nothing, and an insertion whose key is
there by now is refused: both are conflicts, to be folded anew. What MongoDB says of a document
besides that is the failure of an event.
"""

from collections.abc import Sequence

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from eventuary.errors import ServiceUnavailable
from eventuary.views.mongodb.database import MongoDocument
from eventuary.views.mongodb.folding import Change
from eventuary.views.view_event import UpdateFailed

#: MongoDB's codes for what is wrong with a document, not with the server or the way to it: values
#: and lengths, names of fields, a validator or another unique index of the collection, sizes.
_OF_THE_DOCUMENT = {2, 9, 14, 15, 16, 22, 52, 53, 54, 55, 56, 57, 121, 10334, 11000, 16755, 17280}

_DUPLICATE_KEY = 11000


async def conflicts_of(
    collection: AsyncCollection[MongoDocument],
    changes: Sequence[Change],
    session: AsyncClientSession | None,
) -> list[Change]:
    """Write changes; return those in whose way another process was, and perhaps some that were
    written. Raises UpdateFailed, ServiceUnavailable, and what the driver raises.
    """
    # New documents first, then the others: MongoDB takes each kind of write in one message.
    ordered = sorted(changes, key=lambda change: change.found is not None)
    writes = [change.write for change in ordered]
    errors: list[MongoDocument] = []
    try:
        result = await collection.bulk_write(writes, ordered=False, session=session)
        matched = result.matched_count
    except BulkWriteError as error:
        if error.has_error_label("TransientTransactionError"):
            raise
        details = error.details or {}
        for concern in details.get("writeConcernErrors", ()):
            raise ServiceUnavailable(
                f"the view's database: {concern.get('errmsg', concern)}"
            ) from error
        errors = details.get("writeErrors", [])
        matched = details["nMatched"]
    conflicts = []
    refused = set()
    for each in errors:
        change = ordered[each["index"]]
        refused.add(change.key)
        if _is_of_the_key(each) and change.found is None:
            conflicts.append(change)
        elif each["code"] in _OF_THE_DOCUMENT:
            raise UpdateFailed.of(change.steps[-1][0], f"MongoDB: {each['errmsg']}")
        else:
            raise ServiceUnavailable(f"the view's database: {each['errmsg']}")
    replaced = [each for each in ordered if each.found is not None and each.key not in refused]
    if matched < len(replaced):
        # Which of them is not said: those that were written have nothing to do when read again.
        conflicts += replaced
    return conflicts


def _is_of_the_key(error: MongoDocument) -> bool:
    """Whether a document was refused because its key is there, not for a user's unique index."""
    return error["code"] == _DUPLICATE_KEY and " index: _id_ " in error["errmsg"]
