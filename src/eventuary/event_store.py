"""EventStore: create, append, load, subscribe. The one door between the server's half, which
turns wire calls into these verbs, and the framework's half, which turns aggregates and handlers
into them. Every event store passes tests/event_store/contract.py, embedded or remote.

``history`` and ``store_snapshot`` are what looking back and snapshots off the hot path need;
``inspect``, ``caught_up`` and ``delete_subscription``, what views need that are rebuilt. No client
published for Eventuate has them.
"""

from collections.abc import Awaitable, Mapping, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from eventuary.delivery.consumer import AckMode, Consumer, Receiver
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.delivery.status import SubscriptionStatus
from eventuary.events import Appended, Entity, EntityEvent, NewEvent, NewSnapshot


class Durability(StrEnum):
    """What becomes of a subscription when its last consumer leaves."""

    DURABLE = "DURABLE"  #: it stays, and delivers on return what happened meanwhile
    TRANSIENT = "TRANSIENT"  #: it ends


class ReadFrom(StrEnum):
    """Where a subscription begins that has no stored position."""

    BEGINNING = "BEGINNING"  #: with the oldest event
    END = "END"  #: with the first event after the head at this moment


class EventStore(Protocol):
    """A store of events. All methods raise the errors of ``eventuary.errors``.

    It is open within ``async with store:``. A call outside raises ServiceUnavailable.
    """

    async def __aenter__(self) -> Self:
        """Open it. Raises ConfigurationError when it can't be opened."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all subscriptions, finish what is under way, and close it."""

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

    def history(
        self, space: str, entity_type: str, entity_id: str, *, after: str | None = None
    ) -> Awaitable[list[EntityEvent]]:
        """Read all of an entity's events, in order, whatever snapshot there is.

        ``after``: only those after this version. No event: the entity does not exist, or nothing
        came after. Raises BadRequest or ServiceUnavailable.
        """

    def store_snapshot(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        snapshot: NewSnapshot,
    ) -> Awaitable[None]:
        """Keep the state that an entity had at ``entity_version``; loads begin there from now on.

        One that is older than the stored snapshot is passed over.
        Raises BadRequest, NotFound (the entity has no such version) or ServiceUnavailable.
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
        policy: DeliveryPolicy | None = None,
    ) -> Consumer:
        """Deliver the selected events to ``receiver`` (protocol.md, section 4).

        ``policy``: the subscription's rules from now on; None leaves them as they are.
        ``selection`` maps entity types to event types. When this returns, a durable
        subscription is on disk; deliveries may arrive from then on, never before.
        Raises BadRequest or ServiceUnavailable.
        """

    async def inspect(self, space: str, subscriber_id: str) -> SubscriptionStatus:
        """Return where a subscription stands: how far behind, with how many dead letters.

        Raises BadRequest, NotFound or ServiceUnavailable.
        """

    async def caught_up(self, space: str, subscriber_id: str, wait: float) -> bool:
        """Wait until all selected events of the log as it is now have been acknowledged.

        By whichever of its consumers, in this process or another. False: that takes longer than
        ``wait`` seconds (0 to 60), or nobody consumes the subscription.
        Raises BadRequest, NotFound or ServiceUnavailable.
        """

    async def delete_subscription(self, space: str, subscriber_id: str) -> None:
        """Forget a subscription, its positions and its dead letters; its consumers are told.

        Nothing happens when there is none. Raises BadRequest or ServiceUnavailable.
        """
