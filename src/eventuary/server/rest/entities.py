"""Create, update, find: from a request's parts to a call of the store, and nothing between them.

Knows no socket: the protocol above hands it method, target, headers and body, and gets the
future of the answer. Everything that can be refused at once is raised before there is a future.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import msgspec

from eventuary.errors import MethodNotAllowed, UnsupportedMediaType
from eventuary.events import Appended, Entity, NewEvent, NewSnapshot
from eventuary.server.principal import Authenticator
from eventuary.server.rest.paths import Target, parse_target
from eventuary.server.rest.requests import decode_create, decode_update

_encode = msgspec.json.Encoder().encode

#: The headers that a request's meaning depends on; names in lower case.
Headers = Mapping[bytes, bytes]


class EntityStore(Protocol):
    """The part of ``EventStore`` that these routes call, with answers that call back."""

    def create(
        self,
        space: str,
        entity_type: str,
        events: list[NewEvent],
        *,
        entity_id: str | None,
        triggering_event_token: str | None,
    ) -> asyncio.Future[Appended]:
        """Create an entity."""

    def append(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        events: list[NewEvent],
        *,
        triggering_event_token: str | None,
        snapshot: NewSnapshot | None,
    ) -> asyncio.Future[Appended]:
        """Append to an entity."""

    def load(
        self, space: str, entity_type: str, entity_id: str, *, triggering_event_token: str | None
    ) -> asyncio.Future[Entity]:
        """Read an entity."""


class EntityRoutes:
    """The routes under ``/entity/``."""

    def __init__(self, store: EntityStore, authenticator: Authenticator) -> None:
        self._store = store
        self.authenticator = authenticator

    def begin(
        self, method: bytes, target: bytes, headers: Headers, body: bytes | bytearray
    ) -> "asyncio.Future[Appended] | asyncio.Future[Entity]":
        """Begin what a request asks for.

        Raises an EventuaryError: Unauthorized, Forbidden, NotFound, MethodNotAllowed, BadRequest,
        UnsupportedMediaType, ServiceUnavailable. The future may hold the other errors.
        """
        principal = self.authenticator.authenticate_header(headers.get(b"authorization"))
        named = parse_target(target)
        if method == b"POST":
            principal.require(named.space, write=True)
            _check_media_type(headers)
            return self._write(named, body)
        if method == b"GET" and named.entity_id is not None and named.entity_type is not None:
            principal.require(named.space, write=False)
            return self._store.load(
                named.space,
                named.entity_type,
                named.entity_id,
                triggering_event_token=named.triggering_event_token,
            )
        raise MethodNotAllowed(
            f"{method.decode('ascii', 'replace')} is not a method of this route; "
            f"allowed: {allowed_methods(target)}"
        )

    def _write(self, named: Target, body: bytes | bytearray) -> asyncio.Future[Appended]:
        if named.entity_id is None or named.entity_type is None:
            creation = decode_create(body)
            return self._store.create(
                named.space,
                creation.entity_type_name,
                creation.events,
                entity_id=creation.entity_id,
                triggering_event_token=creation.triggering_event_token,
            )
        update = decode_update(body)
        return self._store.append(
            named.space,
            named.entity_type,
            named.entity_id,
            update.entity_version,
            update.events,
            triggering_event_token=update.triggering_event_token,
            snapshot=update.snapshot,
        )


def allowed_methods(target: bytes) -> str:
    """Return the value of ``Allow`` for a target under ``/entity/``."""
    return "POST" if parse_target(target).entity_id is None else "GET, POST"


def encode_answer(answer: Appended | Entity) -> bytes:
    """Return the body of a success."""
    return _encode(answer)


def _check_media_type(headers: Headers) -> None:
    """A body is JSON, as it stands. Raises UnsupportedMediaType."""
    content_type = headers.get(b"content-type", b"application/json")
    if content_type != b"application/json":
        media_type = content_type.partition(b";")[0].strip().lower()
        if media_type != b"application/json":
            raise UnsupportedMediaType(
                f"content-type: {media_type[:80].decode('latin-1')!r} is not read here; send "
                "application/json"
            )
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() != b"identity":
        raise UnsupportedMediaType(
            f"content-encoding: {coding[:80].decode('latin-1')!r} is not read here; send the "
            "body as it is"
        )
