"""Everything that can go wrong in a call, as classes that say what the caller can do.

EventuaryError
├── BadRequest                  correct the request; it can never succeed as it is
│   ├── PayloadTooLarge         send less at once, or raise the server's limit
│   └── UnsupportedMediaType    send application/json
├── Unauthorized                send valid credentials
├── Forbidden                   use a key that may do this in this space
├── NotFound                    the thing named does not exist
├── MethodNotAllowed            use a method that the route has
├── Conflict
│   ├── EntityExists            load the entity instead, or choose another id
│   ├── OptimisticLockError     load again, decide again, append again
│   ├── DuplicateEvent          the triggering event was applied already: nothing is left to do
│   └── EntityTemporarilyUnavailable   try again
└── ServiceUnavailable          try again after a second

``code`` and ``status`` are those of the REST protocol (protocol.md, section 2, "Errors").
The explanation is the exception's text.
"""

from typing import ClassVar


class EventuaryError(Exception):
    """The root of all errors that Eventuary raises for a call."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500


class BadRequest(EventuaryError):
    """The request is malformed or outside a limit; the text names field, value and limit."""

    code = "bad_request"
    status = 400


class PayloadTooLarge(BadRequest):
    """The body, or what it asks for, is over a size limit."""

    code = "payload_too_large"
    status = 413


class UnsupportedMediaType(BadRequest):
    """The body is of a type that the route does not read."""

    code = "unsupported_media_type"
    status = 415


class Unauthorized(EventuaryError):
    """Credentials are missing or wrong."""

    code = "unauthorized"
    status = 401


class Forbidden(EventuaryError):
    """The credentials are valid, but do not allow this."""

    code = "forbidden"
    status = 403


class NotFound(EventuaryError):
    """What the call names does not exist."""

    code = "not_found"
    status = 404


class MethodNotAllowed(EventuaryError):
    """The route exists, but not with this method."""

    code = "method_not_allowed"
    status = 405


class Conflict(EventuaryError):
    """The call was well formed, and the state of the store refuses it; nothing was written."""

    code = "conflict"
    status = 409


class EntityExists(Conflict):
    """An entity is to be created under an id that exists."""

    code = "entity_exists"


class OptimisticLockError(Conflict):
    """The entity's version is not the one that the caller loaded."""

    code = "optimistic_lock_error"


class DuplicateEvent(Conflict):
    """The triggering event was already applied to this entity."""

    code = "duplicate_event"


class EntityTemporarilyUnavailable(Conflict):
    """The entity is being moved by its engine; reserved by the protocol."""

    code = "entity_temporarily_unavailable"


#: What the text of a ServiceUnavailable says when that is certain.
NOTHING_WRITTEN = "nothing was written"


class ServiceUnavailable(EventuaryError):
    """Overload, or storage that can't be reached.

    The text says of a write whether nothing was written, or that this is not known: storage that
    servers share may not tell, and the answer of a remote store may be lost.
    """

    code = "service_unavailable"
    status = 503


class ConfigurationError(Exception):
    """The program can't start as it is configured; the text is one line that says why."""
