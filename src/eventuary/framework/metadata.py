"""Metadata: who did it, in the course of what, and under which trace; stored with each event.

    with metadata(actor="ada@example.com"):
        await orders.save(Order.create(customer_id, total))

What is set so holds for the events that are stored within the block, also by code that it calls.
Within an event handler the actor, the correlation and the trace of the triggering event go on.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What travels with an event besides its data."""

    #: Who caused it: a user, a service.
    actor: str | None = None
    #: The business transaction it belongs to: the id of its first event unless set otherwise.
    correlation_id: str | None = None
    #: W3C Trace Context, level 1, sections 3.2 and 3.3.
    traceparent: str | None = None
    tracestate: str | None = None
    #: The version of the data's shape, where it is not 1.
    schema_version: int = 1
    #: Whatever else the application wants to keep.
    extra: dict[str, str] = {}


class _Stored(Metadata, frozen=True):
    """As it is stored: with what is nobody's business but the store's."""

    #: The call that stored it, where no event triggered it: if its answer is lost, a retry tells
    #: its own append from another's equal one by this.
    command_id: str | None = None


_NONE = Metadata()
_current: ContextVar[Metadata] = ContextVar("eventuary-metadata", default=_NONE)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode


def current_metadata() -> Metadata:
    """Return what the events that are stored now will carry."""
    return _current.get()


@contextmanager
def metadata(
    *,
    actor: str | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
    tracestate: str | None = None,
    extra: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Let the events that are stored within the block carry this; what is None stays as it is."""
    now = _current.get()
    token = _current.set(
        Metadata(
            actor=actor if actor is not None else now.actor,
            correlation_id=correlation_id if correlation_id is not None else now.correlation_id,
            traceparent=traceparent if traceparent is not None else now.traceparent,
            tracestate=tracestate if traceparent is not None else now.tracestate,
            extra={**now.extra, **(extra or {})},
        )
    )
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def metadata_after(cause: Metadata, correlation_id: str) -> Iterator[None]:
    """Let the events that are stored within the block go on from what led to them.

    From that alone: what is set around the block is somebody else's.
    """
    token = _current.set(
        Metadata(
            actor=cause.actor,
            correlation_id=correlation_id,
            traceparent=cause.traceparent,
            tracestate=cause.tracestate,
        )
    )
    try:
        yield
    finally:
        _current.reset(token)


def encode_metadata(
    carried: Metadata, schema_version: int, command_id: str | None = None
) -> str | None:
    """Return metadata as it is stored; None when there is nothing to say."""
    if carried == _NONE and schema_version == 1 and command_id is None:
        return None
    return _encode(
        _Stored(
            actor=carried.actor,
            correlation_id=carried.correlation_id,
            traceparent=carried.traceparent,
            tracestate=carried.tracestate,
            schema_version=schema_version,
            extra=carried.extra,
            command_id=command_id,
        )
    ).decode()


def decode_metadata(stored: str | None) -> Metadata:
    """Return stored metadata; what another client stored there in a shape of its own is ``extra``.

    Its text is then under the name ``raw``.
    """
    if stored is None:
        return _NONE
    try:
        decoded = _decode(stored)
    except msgspec.DecodeError:
        return Metadata(extra={"raw": stored})
    if decoded == _Stored():
        # We store nothing when there is nothing to say: an object of which nothing was read is
        # foreign.
        return Metadata(extra={"raw": stored})
    return Metadata(
        actor=decoded.actor,
        correlation_id=decoded.correlation_id,
        traceparent=decoded.traceparent,
        tracestate=decoded.tracestate,
        schema_version=decoded.schema_version,
        extra=decoded.extra,
    )
