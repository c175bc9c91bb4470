"""Collection: documents of one kind in a view, and how events change them.

    customers = history.collection("customers", CustomerDocument)

    @customers.on(CustomerCreated)
    def describe(customer: CustomerDocument, event: CustomerCreated, context: ViewContext) -> None:
        customer.name = event.name

    @customers.on(OrderCreated, key=lambda event: event.customer_id)
    def add_order(customer: CustomerDocument, event: OrderCreated, context: ViewContext) -> None:
        customer.orders.append(context.entity_id)

An update is a plain function that changes one document: it is tested by calling it. Events of
different entities come in any order, so whichever comes first finds a new document: one made from
its key alone.
"""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, Generic, Literal, NamedTuple, TypeVar, overload

import msgspec

from eventuary.errors import EventuaryError
from eventuary.framework.event import AnyEvent
from eventuary.views.names import check_collection_name
from eventuary.views.view_context import ViewContext
from eventuary.views.view_event import UpdateFailed, ViewEvent

_D = TypeVar("_D")
_E = TypeVar("_E", bound=AnyEvent)
_E1 = TypeVar("_E1", bound=AnyEvent)
_E2 = TypeVar("_E2", bound=AnyEvent)
_E3 = TypeVar("_E3", bound=AnyEvent)

#: Characters of a document's key.
MOST_KEY_CHARACTERS = 255


class UnreadableDocument(EventuaryError):
    """A stored document has not the shape of its class, which has changed: rebuild the view."""

    code = "unreadable_document"
    status = 500


class Deletion(Enum):
    """What an update returns instead of None to remove its document."""

    DELETE = "delete"


DELETE: Literal[Deletion.DELETE] = Deletion.DELETE

#: Changes the document in place, or returns DELETE.
UpdateFunction = Callable[[_D, _E, ViewContext], Deletion | None]
#: From an event to a document's key; None: the id of the event's entity.
_Key = Callable[[Any], str] | None
_Register = Callable[[UpdateFunction[_D, _E]], UpdateFunction[_D, _E]]


class DocumentUpdate(NamedTuple):
    """How events of a type change one document of a collection."""

    collection: "Collection[Any]"
    key: _Key
    function: Callable[[Any, Any, ViewContext], object]


class Collection(Generic[_D]):
    """Made by ``View.collection``. ``document``: a class of documents, a msgspec.Struct or a
    dataclass, of which one is made from its key alone.
    """

    def __init__(
        self,
        name: str,
        document: type[_D],
        add: Callable[[Sequence[type[AnyEvent]], DocumentUpdate], None],
        get: Callable[["Collection[_D]", str], Awaitable[_D | None]],
    ) -> None:
        check_collection_name(name)
        try:
            self._decode = msgspec.json.Decoder(document).decode
            msgspec.json.encode(document("key"))  # type: ignore[call-arg]  # what is tried
        except TypeError as error:
            raise TypeError(
                f"collection {name!r}: {document.__name__} can't be made from a key alone, or has "
                f"no form as JSON: {error}; give all fields but the first a default"
            ) from None
        self.name = name
        self.document = document
        self._add = add
        self._get = get

    # What ``key`` takes is not told to type-checkers: a lambda here would keep them from seeing
    # that the function takes events of another type.
    @overload
    def on(self, event_class: type[_E], /, *, key: _Key = None) -> _Register[_D, _E]: ...
    @overload
    def on(
        self, first: type[_E1], second: type[_E2], /, *, key: _Key = None
    ) -> _Register[_D, _E1 | _E2]: ...
    @overload
    def on(
        self, first: type[_E1], second: type[_E2], third: type[_E3], /, *, key: _Key = None
    ) -> _Register[_D, _E1 | _E2 | _E3]: ...
    @overload
    def on(self, *event_classes: type[AnyEvent], key: _Key = None) -> _Register[_D, Any]: ...

    def on(self, *event_classes: type[AnyEvent], key: _Key = None) -> _Register[_D, Any]:
        """Let a function change the document that ``key`` names when such an event comes.

        ``key`` returns it from the event; None: it is the id of the entity that the event happened
        to. An event that changes several documents has a function for each.
        """
        if not event_classes:
            raise TypeError("on() takes the event types: @customers.on(CustomerCreated)")

        def register(function: UpdateFunction[_D, Any]) -> UpdateFunction[_D, Any]:
            self._add(event_classes, DocumentUpdate(self, key, function))
            return function

        return register

    async def get(self, key: str) -> _D | None:
        """Read a document, of the view's live generation; None when there is none.

        Raises ServiceUnavailable when the view's storage can't be reached, and UnreadableDocument.
        """
        return await self._get(self, key) if _can_be_key(key) else None

    def new(self, key: str) -> _D:
        """Return a document that knows nothing but its key."""
        return self.document(key)  # type: ignore[call-arg]  # tried when it was declared

    def decode(self, key: str, stored: bytes | str) -> _D:
        """Return a document from its JSON. Raises UnreadableDocument."""
        try:
            return self._decode(stored)
        except msgspec.MsgspecError as error:
            raise self.unreadable(key, error) from error

    def unreadable(self, key: str, error: BaseException) -> UnreadableDocument:
        """Return what is raised for a stored document that has another shape."""
        return UnreadableDocument(
            f"{key[:80]!r} of collection {self.name!r} can't be read as {self.document.__name__}: "
            f"{error}; rebuild the view"
        )


#: One event and what it does to one document.
Step = tuple[ViewEvent[DocumentUpdate], DocumentUpdate]


def steps_by_document(
    events: Sequence[ViewEvent[DocumentUpdate]],
) -> dict[str, dict[str, list[Step]]]:
    """Return what a group of events does: by collection and key, in order.

    Raises UpdateFailed for a key that can't be one.
    """
    steps: dict[str, dict[str, list[Step]]] = {}
    for event in events:
        for update in event.updates:
            key = _key_of(event, update)
            steps.setdefault(update.collection.name, {}).setdefault(key, []).append((event, update))
    return steps


def _key_of(event: ViewEvent[DocumentUpdate], update: DocumentUpdate) -> str:
    if update.key is None:
        return event.context.entity_id
    try:
        key = update.key(event.event)
    except Exception as error:
        raise UpdateFailed.of(event, error) from error
    if not _can_be_key(key):
        raise UpdateFailed.of(
            event,
            f"key: {str(key)[:80]!a} of collection {update.collection.name!r} is not text of 1 to "
            f"{MOST_KEY_CHARACTERS} characters",
        )
    return key


def _can_be_key(key: object) -> bool:
    if not isinstance(key, str) or not 1 <= len(key) <= MOST_KEY_CHARACTERS or "\0" in key:
        return False
    try:
        key.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def fold(collection: Collection[_D], key: str, document: _D | None, steps: list[Step]) -> _D | None:
    """Return a document as it is after these steps; None: it is, or stays, deleted.

    Raises UpdateFailed.
    """
    for event, update in steps:
        if document is None:
            document = collection.new(key)
        try:
            result = update.function(document, event.event, event.context)
        except Exception as error:
            raise UpdateFailed.of(event, error) from error
        if result is DELETE:
            document = None
        elif result is not None:
            raise UpdateFailed.of(
                event,
                f"{getattr(update.function, '__name__', update.function)!r} returned "
                f"{str(result)[:80]!r}; an update changes the document in place and returns "
                "nothing, or DELETE",
            )
    return document
