"""RecordedEvent: an event as the store has it, with its id, its time, and its metadata."""

from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import msgspec

from eventuary.framework.event import AnyEvent
from eventuary.framework.metadata import Metadata

_E_co = TypeVar("_E_co", bound=AnyEvent, covariant=True)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RecordedEvent(msgspec.Struct, Generic[_E_co], frozen=True):
    """One line of an entity's history."""

    event: _E_co
    event_id: str
    metadata: Metadata

    @property
    def time(self) -> datetime:
        """When it was stored, by the server's clock (UTC, to the millisecond)."""
        return time_of(self.event_id)


def time_of(event_id: str) -> datetime:
    """Return the time that an event id holds: its high half (protocol.md, section 1)."""
    return _EPOCH + timedelta(milliseconds=int(event_id[:16], 16))
