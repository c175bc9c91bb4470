"""An event as a message: what is in the payload, and what the subject and the sequence say.

The sequence of the message in its stream makes the event's position. The payload is an array in
MessagePack, so that data and metadata may be any text: a header can't hold a line break.
"""

from functools import lru_cache

import msgspec

from eventuary.engines.jetstream.api import Message
from eventuary.engines.jetstream.partitions import Partition
from eventuary.engines.jetstream.subjects import MOST_TOKEN, names_of
from eventuary.events import Append, EntityEvent, LogEvent, NewEvent
from eventuary.swimlanes import swimlane_of


class StoredEvent(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The payload of a message."""

    event_id: str
    event_type: str
    event_data: str
    metadata: str | None
    triggering_event_token: str | None
    #: A token of this entity, at or before this event, names an event of the future (triggers.py).
    doubtful: bool
    #: Space, entity type and entity id, where the subject has a digest in place of one of them.
    names: tuple[str, str, str] | None


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(StoredEvent).decode


def encode(
    event: NewEvent, event_id: str, append: Append, entity_id: str, *, doubtful: bool
) -> bytes:
    """Return an event as it is stored."""
    names = (append.space, append.entity_type, entity_id)
    return _encode(
        StoredEvent(
            event_id,
            event.event_type,
            event.event_data,
            event.metadata,
            append.triggering_event_token,
            doubtful,
            names if _may_be_digested(names) else None,
        )
    )


def encode_again(event: LogEvent, *, doubtful: bool) -> bytes:
    """Return an event that a log holds already, as ``encode`` would have stored it."""
    names = (event.space, event.entity_type, event.entity_id)
    return _encode(
        StoredEvent(
            event.event_id,
            event.event_type,
            event.event_data,
            event.metadata,
            event.triggering_event_token,
            doubtful,
            names if _may_be_digested(names) else None,
        )
    )


def _may_be_digested(names: tuple[str, str, str]) -> bool:
    # A name's encoding has three characters at most for each byte.
    return any(len(name) * 3 > MOST_TOKEN for name in names)


def entity_event(stored: StoredEvent) -> EntityEvent:
    """Return an event as its entity's history shows it."""
    return EntityEvent(stored.event_id, stored.event_type, stored.event_data, stored.metadata)


class Reading:
    """Makes events of the messages of a partition."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self.names = lru_cache(maxsize=65536)(names_of)

    def space_of(self, message: Message, stored: StoredEvent) -> str:
        """Return the space of a message."""
        return stored.names[0] if stored.names else self.names(message.subject)[0] or ""

    def log_event(self, message: Message, stored: StoredEvent, swimlanes: int) -> LogEvent:
        """Return an event as the log shows it, in a space of so many swimlanes."""
        space, entity_type, entity_id = stored.names or self.names(message.subject)
        if space is None or entity_type is None or entity_id is None:
            raise ValueError(f"the message at {message.sequence} does not say its names")
        return LogEvent(
            self._partition.position(message.sequence),
            stored.event_id,
            space,
            entity_type,
            entity_id,
            stored.event_type,
            stored.event_data,
            stored.metadata,
            swimlane_of(entity_type, entity_id, swimlanes),
            stored.triggering_event_token,
        )
