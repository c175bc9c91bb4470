"""The digest of a log: a chain over its events, so that it can be taken on from any of them.

SHA-256 of the digest so far and the event's MessagePack: an array of position, id, space, entity
type, entity id, event type, data, metadata, swimlane and triggering token. Two logs with the same
digest at a position are the same up to there.
"""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from eventuary.events import LogEvent

#: Of an empty log.
NOTHING = bytes(32)

_encode = msgspec.msgpack.Encoder().encode


def contents(event: LogEvent) -> dict[str, object]:
    """Return what an event is, by the names that people know."""
    return {
        "position": event.position,
        "id": event.event_id,
        "space": event.space,
        "entity type": event.entity_type,
        "entity id": event.entity_id,
        "event type": event.event_type,
        "data": event.event_data,
        "metadata": event.metadata,
        "swimlane": event.swimlane,
        "triggering token": event.triggering_event_token,
    }


def chained(digest: bytes, events: Iterable[LogEvent]) -> bytes:
    """Return the digest after these events; ``digest`` is that of the log before them."""
    for event in events:
        digest = sha256(
            digest
            + _encode(
                (
                    event.position,
                    event.event_id,
                    event.space,
                    event.entity_type,
                    event.entity_id,
                    event.event_type,
                    event.event_data,
                    event.metadata,
                    event.swimlane,
                    event.triggering_event_token,
                )
            )
        ).digest()
    return digest
