"""What names, numbers and sizes are acceptable; whatever is not raises BadRequest and says why.

Rules are those of protocol.md, section 1; limits are configured. Every text must be encodable as
UTF-8: a lone surrogate can't be stored, and is refused here rather than by the disk.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from eventuary.errors import BadRequest
from eventuary.events import Append, NewEvent, NewSnapshot
from eventuary.ids import parse_id
from eventuary.limits import Limits

#: Characters of a space, an entity id, an entity type, an event type, a subscriber id.
MOST_NAME_CHARACTERS = 255

#: Characters of an event token.
MOST_TOKEN_CHARACTERS = 1024

#: Seconds that one call may wait for a subscription.
MOST_WAIT = 60.0

#: Characters of a snapshot's type.
_MOST_SNAPSHOT_TYPE_CHARACTERS = 1024

# Control characters (C0, DEL, C1) and surrogates.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_WITH_SLASH = re.compile(r"[/\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_IN_SUBSCRIBER = re.compile(r'["\\\x00-\x1f\x7f-\x9f\ud800-\udfff]')


# The names of spaces and types recur with every request: what was found good is remembered.
@lru_cache(maxsize=4096)
def check_space(space: str) -> None:
    """A space is a path segment: no slash."""
    _check_name(space, "space", _FORBIDDEN_WITH_SLASH, "'/', control characters or surrogates")


@lru_cache(maxsize=4096)
def check_entity_type(name: str) -> None:
    """Entity types may be dotted, and may hold slashes."""
    _check_name(name, "entityTypeName", _FORBIDDEN, "control characters or surrogates")


def check_entity_id(entity_id: str) -> None:
    """A client may choose any id without a slash."""
    _check_name(
        entity_id, "entityId", _FORBIDDEN_WITH_SLASH, "'/', control characters or surrogates"
    )


def check_subscriber_id(subscriber_id: str) -> None:
    """No quotation mark and no backslash: the ``ack`` header must need no escape (section 3)."""
    _check_name(
        subscriber_id,
        "subscriberId",
        _FORBIDDEN_IN_SUBSCRIBER,
        "'\"', '\\', control characters or surrogates",
    )


def check_selection(selection: Mapping[str, Sequence[str]], limits: Limits) -> None:
    """A selection names event types: one at least, at most so many, each of an acceptable name.

    One that names none would wait for ever: the subscriber meant something else.
    """
    number = 0
    for entity_type, names in selection.items():
        _check_name(
            entity_type, "entityTypesAndEvents", _FORBIDDEN, "control characters or surrogates"
        )
        number += len(names)
        for name in names:
            _check_name(
                name,
                f"entityTypesAndEvents.{entity_type[:80]}",
                _FORBIDDEN,
                "control characters or surrogates",
            )
    if number == 0:
        raise BadRequest(
            f"entityTypesAndEvents: {str(dict(selection))[:80]} names no event type; 1 at least is "
            'needed, as in {"orders.Order": ["OrderCreated"]}'
        )
    if number > limits.event_types_per_subscription:
        raise BadRequest(
            f"entityTypesAndEvents: {number} event types, over the limit "
            f"event_types_per_subscription of {limits.event_types_per_subscription}"
        )


def check_token(token: str) -> None:
    """A token is opaque; it is bounded, and text."""
    if not 1 <= len(token) <= MOST_TOKEN_CHARACTERS or _FORBIDDEN.search(token):
        raise BadRequest(
            f"triggeringEventToken: {token[:80]!r} is not 1 to {MOST_TOKEN_CHARACTERS} "
            "characters without control characters or surrogates"
        )


def check_wait(seconds: float) -> None:
    """A wait for a subscription takes no longer than an HTTP request may."""
    if not 0 <= seconds <= MOST_WAIT:
        raise BadRequest(f"wait: {seconds:g} is outside 0..{MOST_WAIT:g} seconds")


def check_events(events: Sequence[NewEvent], limits: Limits) -> int:
    """Check the events of an append; returns their characters, for bounding what waits."""
    if not events:
        raise BadRequest("events: is empty; an append has at least one event")
    if len(events) > limits.events_per_append:
        raise BadRequest(
            f"events: {len(events)} events, over the limit events_per_append of "
            f"{limits.events_per_append}"
        )
    characters = 0
    most = limits.event_data_size
    for number, event in enumerate(events):
        name = event.event_type
        # The ordinary name is told by two cheap looks; what fails them is looked at closely.
        if not (0 < len(name) <= MOST_NAME_CHARACTERS and name.isascii() and name.isprintable()):
            _check_name(
                name, f"events[{number}].eventType", _FORBIDDEN, "control characters or surrogates"
            )
        data = event.event_data
        if len(data) * 4 > most or not data.isascii():
            _check_text(data, f"events[{number}].eventData", most)
        metadata = event.metadata
        if metadata is not None:
            _check_text(metadata, f"events[{number}].metadata", most)
            characters += len(metadata)
        characters += len(data)
    return characters


def check_snapshot(snapshot: NewSnapshot, limits: Limits) -> None:
    """A snapshot is bounded like an event's data."""
    _check_text(snapshot.snapshot_type, "snapshot.snapshotType", _MOST_SNAPSHOT_TYPE_CHARACTERS)
    _check_text(snapshot.json, "snapshot.json", limits.event_data_size)


def checked(append: Append, limits: Limits) -> Append:
    """Return the append with its version normalised and its characters counted.

    Raises BadRequest.
    """
    check_space(append.space)
    check_entity_type(append.entity_type)
    entity_id = append.entity_id
    version = append.expected_version
    if entity_id is not None:
        check_entity_id(entity_id)
    elif version is not None:
        raise BadRequest("entityId: is missing; an update names the entity")
    if version is not None:
        version = parse_id(version, "entityVersion")
    if append.triggering_event_token is not None:
        check_token(append.triggering_event_token)
    if append.snapshot is not None:
        check_snapshot(append.snapshot, limits)
    return Append(
        append.space,
        append.entity_type,
        entity_id,
        version,
        append.events,
        append.triggering_event_token,
        append.snapshot,
        check_events(append.events, limits),
    )


def _check_name(name: str, field: str, forbidden: re.Pattern[str], what: str) -> None:
    if not 1 <= len(name) <= MOST_NAME_CHARACTERS:
        raise BadRequest(
            f"{field}: {name[:80]!r} has {len(name)} characters; 1 to {MOST_NAME_CHARACTERS} "
            "are allowed"
        )
    found = forbidden.search(name)
    if found is not None:
        raise BadRequest(f"{field}: {name!r} holds {found[0]!r}; it must not hold {what}")


def _check_text(text: str, field: str, most_bytes: int) -> None:
    if text.isascii():
        size = len(text)
    else:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise BadRequest(
                f"{field}: holds the lone surrogate {text[error.start]!r} at character "
                f"{error.start}; it can't be stored as UTF-8"
            ) from None
    if size > most_bytes:
        raise BadRequest(f"{field}: has {size} bytes, over the limit of {most_bytes} bytes")
