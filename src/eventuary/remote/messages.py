"""MESSAGE frames as deliveries (protocol.md, section 3, rule 5)."""

from typing import NamedTuple

import msgspec

from eventuary.delivery.consumer import Delivery
from eventuary.events import END_OF_CURRENT_EVENTS, LogEvent
from eventuary.stomp_frames import Frame, FrameError


class _Body(msgspec.Struct, gc=False, rename="camel"):
    id: str
    entity_id: str
    entity_type: str
    event_type: str
    event_data: str
    swimlane: int
    offset: int
    event_metadata: str | None = None


class Message(NamedTuple):
    """A delivery, what its answer names it by, and the header that acknowledges it, as it came."""

    delivery: Delivery
    key: tuple[int, int]
    ack: bytes

    @property
    def is_notification(self) -> bool:
        """Whether it tells that the present is reached."""
        return self.delivery.event.event_type == END_OF_CURRENT_EVENTS


_decode = msgspec.json.Decoder(_Body).decode


def read_message(frame: Frame, space: str) -> Message:
    """Return what a MESSAGE delivers, as its first attempt: the frame does not tell.

    Raises FrameError.
    """
    try:
        body = _decode(frame.body)
        ack = frame.headers["ack"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise FrameError(f"a MESSAGE is not one of an event store: {error}") from None
    swimlane = body.swimlane
    offset = body.offset
    event = LogEvent(
        offset,
        body.id,
        space,
        body.entity_type,
        body.entity_id,
        body.event_type,
        body.event_data,
        body.event_metadata,
        swimlane,
        None,
    )
    named = -offset if body.event_type == END_OF_CURRENT_EVENTS else offset
    return Message(Delivery(event, swimlane, offset, 1), (swimlane, named), ack)
