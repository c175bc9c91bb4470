"""The vocabulary: what is stored, what is read back, and how entities and events are named.

Field names follow the wire when encoded (``event_type`` is ``eventType`` in JSON), so that a
request body is decoded straight into these structs and a response encoded straight from them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

#: The space that a client means when it names none.
DEFAULT_SPACE = "default"

#: The notification that a subscription has reached the present (protocol.md, section 3).
END_OF_CURRENT_EVENTS = (
    "net.chrisrichardson.eventstore.subscriptions.EndOfCurrentEventsReachedEvent"
)


class EventType(NamedTuple):
    """An event type as subscribers name it: the entity type it belongs to, and its own name."""

    entity_type: str
    event_type: str


class NewEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """An event to be stored. ``event_data`` and ``metadata`` are never interpreted."""

    event_type: str
    event_data: str
    metadata: str | None = None


class NewSnapshot(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The state of an entity, to be stored at the version that the append makes."""

    snapshot_type: str
    json: str


class Append(msgspec.Struct, frozen=True, gc=False):
    """One entity's append: creation when ``expected_version`` is None, update otherwise.

    ``entity_id`` None: the engine generates one (creation only). ``events`` is not empty.
    ``triggering_event_token``: the token of the event that this append reacts to; it is
    stored with the events, and a second append to the entity with the same token is refused.
    """

    space: str
    entity_type: str
    entity_id: str | None
    expected_version: str | None
    events: Sequence[NewEvent]
    triggering_event_token: str | None = None
    snapshot: NewSnapshot | None = None
    #: Characters of the events' data and metadata, by which what waits is bounded.
    characters: int = 0


class Appended(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The outcome of an append that is on disk: the new version is the last event's id."""

    entity_id: str
    entity_version: str
    event_ids: list[str]


class EntityEvent(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """An event as its entity's history shows it."""

    id: str
    event_type: str
    event_data: str
    metadata: str | None = None


class Snapshot(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A stored state, as of ``entity_version``."""

    snapshot_type: str
    json: str
    entity_version: str


class Entity(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """An entity's history: its events in order; with a snapshot, only those after it.

    No event and no snapshot: the entity does not exist.
    """

    events: list[EntityEvent]
    snapshot: Snapshot | None = None


class LogEvent(msgspec.Struct, gc=False):
    """An event as the log holds it. ``position`` grows along the log of all spaces.

    ``encoded`` is a slot in which a wire keeps its encoding of this event, so that it is made
    once however many subscribers there are; nothing else reads it. Nor ``encoded_in_ascii``, for
    those subscribers that can't bear other characters.
    """

    position: int
    event_id: str
    space: str
    entity_type: str
    entity_id: str
    event_type: str
    event_data: str
    metadata: str | None
    swimlane: int
    triggering_event_token: str | None
    encoded: bytes | None = None
    encoded_in_ascii: bytes | None = None

    @property
    def type(self) -> EventType:
        """The name that subscribers select it by."""
        return EventType(self.entity_type, self.event_type)
