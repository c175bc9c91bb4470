"""Operation: one verb of one path. The routes are made of these, and so is the OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import msgspec
from starlette.responses import Response

from eventuary.errors import EventuaryError
from eventuary.server.principal import ALL_SPACES, Principal
from eventuary.server.v1.call import Call


class Access(Enum):
    """Which keys may call an operation. The text is for readers of the document."""

    OPEN = "No key is needed."
    READ = "Any key for the space."
    WRITE = "A key for the space that is not read-only."
    READ_ALL = "A key for all spaces (`*`)."
    WRITE_ALL = "A key for all spaces (`*`) that is not read-only."

    def check(self, principal: Principal, space: str) -> None:
        """Raise Forbidden when the key may not."""
        if self in (Access.READ, Access.WRITE):
            principal.require(space, write=self is Access.WRITE)
        elif self is not Access.OPEN:
            principal.require(ALL_SPACES, write=self is Access.WRITE_ALL)


@dataclass(frozen=True)
class Sample:
    """An example for the document: a request's body, and the answer to it."""

    body: Mapping[str, object] | None = None
    answer: object = None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What an operation takes and answers, and who may call it."""

    method: str
    #: With ``{name}`` for each segment that varies.
    path: str
    #: The document's ``operationId``.
    name: str
    tag: str
    summary: str
    description: str = ""
    access: Access
    #: None where another room of the server answers: the routes under ``/entity/``.
    handle: Callable[[Call], Awaitable[Response]] | None = None
    query: type[msgspec.Struct] | None = None
    #: Header parameters: name and what it means.
    headers: Mapping[str, str] = field(default_factory=dict)
    body: type[msgspec.Struct] | None = None
    #: What a success answers: a struct as JSON, or text of a media type.
    answer: type[msgspec.Struct] | str
    #: Structs that the schemas of the others name.
    refers_to: tuple[type[msgspec.Struct], ...] = ()
    #: Errors of this operation, besides those that every one has.
    errors: tuple[type[EventuaryError], ...] = ()
    #: Answers to errors that hold more than ``error`` and ``explanation``.
    error_bodies: Mapping[int, type[msgspec.Struct]] = field(default_factory=dict)
    sample: Sample = Sample()
