"""Which events a reader of the log asks for, and the form in which they are shown."""

from typing import Annotated, Literal

import msgspec

from eventuary.engines.engine import LogQuery
from eventuary.errors import NotFound
from eventuary.events import LogEvent

#: Positions are stored as signed 64-bit numbers.
MOST_POSITION = 2**63 - 1


def whole(low: int, high: int, description: str | None = None) -> msgspec.Meta:
    """Return what makes a ``float`` of a body a whole number: JSON's 650.0 is the integer 650."""
    return msgspec.Meta(
        ge=low,
        le=high,
        multiple_of=1,
        description=description,
        extra_json_schema={"type": "integer"},
    )


Position = Annotated[int, msgspec.Meta(ge=0, le=MOST_POSITION)]

#: Partitions that a log has at most; an engine has less.
_MOST_PARTITIONS = 1024

Partition = Annotated[
    int,
    msgspec.Meta(
        ge=0,
        lt=_MOST_PARTITIONS,
        description=(
            "Where the log has several partitions, each of them is read by itself: the number of "
            "this one, from 0."
        ),
    ),
]

_ENTITY_TYPES = "Only events of these entity types; may be given several times."
_EVENT_TYPES = (
    "Only events of these event types, of whatever entity type unless `entityType` says which; "
    "may be given several times."
)


class PageQuery(msgspec.Struct, frozen=True, rename="camel"):
    """The query of a page."""

    after: Annotated[
        Position, msgspec.Meta(description="Events with a position greater than this.")
    ] = 0
    limit: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=10_000,
            description="At most so many events; a page also ends at 1 MiB of event data.",
        ),
    ] = 500
    entity_type: Annotated[list[str], msgspec.Meta(description=_ENTITY_TYPES)] = []
    event_type: Annotated[list[str], msgspec.Meta(description=_EVENT_TYPES)] = []
    wait: Annotated[
        float,
        msgspec.Meta(
            ge=0, le=60, description="Seconds to wait for an event when there is none yet."
        ),
    ] = 0.0
    partition: Partition = 0


class StreamQuery(msgspec.Struct, frozen=True, rename="camel"):
    """The query of a stream."""

    after: Annotated[
        Position | Literal["head"],
        msgspec.Meta(
            description=(
                "Events with a position greater than this; `head`: those that occur from now on. "
                "A `Last-Event-ID` header takes its place."
            )
        ),
    ] = 0
    entity_type: Annotated[list[str], msgspec.Meta(description=_ENTITY_TYPES)] = []
    event_type: Annotated[list[str], msgspec.Meta(description=_EVENT_TYPES)] = []
    partition: Partition = 0


class LoggedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """An event as the log holds it. `position` grows along a partition, of all spaces."""

    position: int
    id: str
    entity_type: str
    entity_id: str
    event_type: str
    event_data: str
    swimlane: int
    metadata: str | None = None
    triggering_event_token: str | None = None


def logged(event: LogEvent) -> LoggedEvent:
    """Return an event in the form in which it is shown."""
    return LoggedEvent(
        event.position,
        event.event_id,
        event.entity_type,
        event.entity_id,
        event.event_type,
        event.event_data,
        event.swimlane,
        event.metadata,
        event.triggering_event_token,
    )


class LogFilter:
    """The events of a space that a reader asks for.

    Raises NotFound for a partition that the log has not.
    """

    def __init__(self, space: str, asked: PageQuery | StreamQuery, partitions: int) -> None:
        if asked.partition >= partitions:
            raise NotFound(
                f"partition: there is no {asked.partition}: the log has {partitions}, numbered "
                "from 0"
            )
        self._space = space
        self.partition = asked.partition
        self._entity_types = frozenset(asked.entity_type) or None
        self._event_types = frozenset(asked.event_type) or None

    def after(self, position: int, *, limit: int, max_bytes: int) -> LogQuery:
        """Return the query for what comes after ``position``."""
        return LogQuery(
            space=self._space,
            after=position,
            entity_types=self._entity_types,
            event_types=self._event_types,
            limit=limit,
            max_bytes=max_bytes,
            partition=self.partition,
        )
