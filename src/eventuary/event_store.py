"""EventStore: create, append, load, subscribe. The one door between the server's half, which
turns wire calls into these verbs, and the framework's half, which turns aggregates and handlers
into them. Every event store passes tests/event_store/contract.py, embedded or remote.
"""

from collections.abc import Awaitable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from eventuary.delivery.consumer import AckMode, Consumer, Receiver
from eventuary.events import Appended, Entity, NewEvent, NewSnapshot


class Durability(StrEnum):
    """What becomes of a subscription when its last consumer leaves."""

    DURABLE = "DURABLE"  #: it stays, and delivers on return what happened meanwhile
    TRANSIENT = "TRANSIENT"  #: it ends


class ReadFrom(StrEnum):
    """Where a subscription begins that has no stored position."""

    BEGINNING = "BEGINNING"  #: with the oldest event
    END = "END"  #: with the first event after the head at this moment


class EventStore(Protocol):
    """A store of events. All methods raise the errors of ``eventuary.errors``."""

    def create(
        self,
        space: str,
        entity_type: str,
        events: Sequence[NewEvent],
        *,
        entity_id: str | None = None,
        triggering_event_token: str | None = None,
    ) -> Awaitable[Appended]:
        """Create an entity with a non-empty sequence of events.

        Raises BadRequest, EntityExists or ServiceUnavailable.
        """

    def append(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        events: Sequence[NewEvent],
        *,
        triggering_event_token: str | None = None,
        snapshot: NewSnapshot | None = None,
    ) -> Awaitable[Appended]:
        """Append to an entity, if ``entity_version`` is its current version.

        Raises BadRequest, NotFound, OptimisticLockError, DuplicateEvent or ServiceUnavailable.
        """

    def load(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        *,
        triggering_event_token: str | None = None,
    ) -> Awaitable[Entity]:
        """Read an entity; one that does not exist has no events and no snapshot.

        Raises BadRequest, DuplicateEvent or ServiceUnavailable.
        """

    async def subscribe(
        self,
        space: str,
        subscriber_id: str,
        selection: Mapping[str, Sequence[str]],
        receiver: Receiver,
        *,
        durability: Durability = Durability.DURABLE,
        read_from: ReadFrom = ReadFrom.BEGINNING,
        progress_notifications: bool = False,
        ack_mode: AckMode = AckMode.INDIVIDUAL,
    ) -> Consumer:
        """Deliver the selected events to ``receiver`` (protocol.md, section 4).

        ``selection`` maps entity types to event types. When this returns, a durable
        subscription is on disk; deliveries may arrive from then on, never before.
        Raises BadRequest or ServiceUnavailable.
        """
