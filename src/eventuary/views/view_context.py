"""ViewContext: what an update of a view knows of the event because of which it happens.

There is nothing in it to act with: a view that is rebuilt sees every event again, and must cause
nothing by that.
"""

from datetime import datetime

from eventuary.events import LogEvent
from eventuary.framework.metadata import Metadata, decode_metadata
from eventuary.framework.recorded import time_of


class ViewContext:
    """One event, as the log has it. The same however often a view is rebuilt."""

    __slots__ = ("_stored",)

    def __init__(self, stored: LogEvent) -> None:
        self._stored = stored

    @property
    def entity_type(self) -> str:
        """The type of the entity that the event happened to."""
        return self._stored.entity_type

    @property
    def entity_id(self) -> str:
        """The id of the entity that the event happened to."""
        return self._stored.entity_id

    @property
    def event_id(self) -> str:
        """The event's id; it grows within the entity."""
        return self._stored.event_id

    @property
    def time(self) -> datetime:
        """When the event was stored (UTC, to the millisecond)."""
        return time_of(self._stored.event_id)

    @property
    def metadata(self) -> Metadata:
        """Who caused the event, in the course of what, under which trace."""
        return decode_metadata(self._stored.metadata)

    @property
    def swimlane(self) -> int:
        """The swimlane that the entity belongs to."""
        return self._stored.swimlane

    @property
    def position(self) -> int:
        """The event's position in the log: it grows within a swimlane."""
        return self._stored.position
