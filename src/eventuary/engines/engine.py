"""Engine: what a database must do to hold the log. Every engine passes tests/engines/contract.py.

An engine stores events, checks versions and triggers in the same atomic step, reads one
entity or the log, tells when the head of the log moves, and keeps what delivery must not lose:
subscriptions, their positions, dead letters. It knows nothing of consumers, wires or JSON.

A log may have several partitions, each an order of its own: all events of a swimlane are in one of
them, number ``swimlane % partitions``. Positions grow along a partition, and those of one are not
to be compared with those of another; no two events have the same. With one partition, as most
engines have, the log is one order, and positions are 1, 2, 3, and so on.

All methods are called from one event loop. Methods that return a future begin at once, whether
or not the future is awaited. Storage that fails raises ServiceUnavailable, with nothing written.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from eventuary.errors import EventuaryError
from eventuary.events import (
    Append,
    Appended,
    Entity,
    EntityEvent,
    EventType,
    LogEvent,
    NewSnapshot,
)


class LogQuery(msgspec.Struct, frozen=True):
    """Which events of a space's log to read: those after a position that pass every filter.

    Of one partition: the one that is named.
    """

    space: str
    #: Read events with a position greater than this.
    after: int
    #: Read events with a position up to and including this; None: up to the head.
    until: int | None = None
    #: Only these event types; None: all of the space.
    types: frozenset[EventType] | None = None
    #: Only events of these entity types, whatever their event type; None: no such filter.
    entity_types: frozenset[str] | None = None
    #: Only events whose event type has one of these names, whatever their entity type; None: all.
    event_types: frozenset[str] | None = None
    #: Only events of entities in these swimlanes; None: all.
    swimlanes: frozenset[int] | None = None
    #: At most this many events.
    limit: int = 500
    #: Stop before the events' data exceed this many bytes; one event is always read.
    max_bytes: int = 256 * 1024
    #: The number of the partition that is read.
    partition: int = 0


class LogPage(msgspec.Struct, frozen=True):
    """A stretch of the log: the events that passed the filters up to ``position``.

    Every event at or below ``position`` that the query wanted is in this page or before it; a
    later page begins after it. No page ever finds a new event at or below it.
    """

    events: list[LogEvent]
    position: int


class Committed(msgspec.Struct, frozen=True):
    """The head of the log, or of one partition of it, has moved to ``head``.

    ``events`` are all events after the previous head, in order, where the engine has them at
    hand; None where they must be read from the log.
    """

    head: int
    events: Sequence[LogEvent] | None
    partition: int = 0


class SubscriptionRecord(msgspec.Struct, frozen=True):
    """A durable subscription as it is stored."""

    space: str
    subscriber_id: str
    #: Entity type to event types, as the last SUBSCRIBE selected them.
    selection: dict[str, list[str]]
    #: Per swimlane: everything at or below is acknowledged.
    positions: tuple[int, ...]
    #: Delivery rules as delivery's policy encodes them; the engine does not look inside.
    policy: dict[str, int | float | str] = {}
    paused: bool = False
    #: Milliseconds since the epoch.
    created_at: int = 0


class SwimlanePosition(msgspec.Struct, frozen=True, gc=False):
    """The position up to which a subscription's swimlane is acknowledged."""

    space: str
    subscriber_id: str
    swimlane: int
    position: int
    #: Of the lease under which it was acknowledged; None: nobody holds the swimlane.
    epoch: int | None = None


class DeadLetterRecord(msgspec.Struct, frozen=True):
    """An event that a subscriber could not handle, with what is known of why."""

    space: str
    subscriber_id: str
    swimlane: int
    position: int
    event_id: str
    entity_type: str
    entity_id: str
    event_type: str
    attempts: int
    reason: str
    #: Milliseconds since the epoch.
    parked_at: int


class Lease(msgspec.Struct, frozen=True, gc=False):
    """Who holds a swimlane. Every change of hands, and every reset, has a higher epoch."""

    swimlane: int
    epoch: int
    #: The server that holds it; None: it is free.
    holder: int | None
    position: int


class SharedSubscription(msgspec.Struct, frozen=True):
    """A durable subscription as all servers see it."""

    #: Another number: it was deleted, and made again.
    number: int
    #: Grows with every change of selection, policy or pause.
    revision: int
    record: SubscriptionRecord
    #: By swimlane.
    leases: list[Lease]
    #: Server to how many consumers it has.
    consumers: dict[int, int]
    #: Position of a dead letter to what an operator wants done with it.
    wishes: dict[int, str] = {}


class KeyRecord(msgspec.Struct, frozen=True):
    """A stored API key. Of the secret only a hash is kept."""

    key_id: str
    #: SHA-256 of the secret, in hexadecimal. Secrets are generated with 256 bits of entropy.
    secret_hash: str
    #: Spaces it may use; ``("*",)``: all.
    spaces: tuple[str, ...]
    read_only: bool
    #: Milliseconds since the epoch.
    created_at: int


class AppendCounts:
    """What an engine counts of its appends: plain numbers, changed on the loop."""

    __slots__ = (
        "appended_events",
        "appends",
        "conflicts",
        "failures",
        "groups",
        "waiting",
        "waiting_characters",
    )

    def __init__(self) -> None:
        #: Appends that are on disk, the events in them, and the commits that wrote them.
        self.appends = 0
        self.appended_events = 0
        self.groups = 0
        #: Appends refused by a version, an existing entity or an applied trigger.
        self.conflicts = 0
        #: Appends that were answered ServiceUnavailable.
        self.failures = 0
        #: Appends given to the engine and not answered yet, and the characters of their events.
        self.waiting = 0
        self.waiting_characters = 0


class KeyStore(Protocol):
    """Stored API keys. Calls are rare; they may block for some milliseconds."""

    def list_keys(self) -> list[KeyRecord]:
        """Return all keys, oldest first."""

    def add_key(self, key: KeyRecord) -> None:
        """Store a key. Raises Conflict when its id is taken."""

    def revoke_key(self, key_id: str) -> None:
        """Delete a key. Raises NotFound when there is none of this id."""


class Leasing(Protocol):
    """Swimlanes of durable subscriptions shared by several servers: each held by one at a time.

    A server holds what it has taken for ``lease_seconds`` from the moment it asked for its last
    renewal. All methods raise ServiceUnavailable when the storage can't be reached.
    """

    @property
    def lease_seconds(self) -> float:
        """For how long a renewal holds."""

    def renew(self) -> asyncio.Future[int]:
        """Go on holding what this server holds. Returns its number.

        Another number than before: it was away for too long, and holds nothing any more.
        """

    def look(
        self, names: Sequence[tuple[str, str]]
    ) -> asyncio.Future[list[SharedSubscription | None]]:
        """Look at subscriptions by (space, subscriber id); None where there is none."""

    def want(self, space: str, subscriber_id: str, consumers: int) -> asyncio.Future[None]:
        """Say how many consumers this server has; with none it gives up what it holds of it."""

    def take(
        self, space: str, subscriber_id: str, seen: Sequence[Lease]
    ) -> asyncio.Future[list[Lease]]:
        """Take leases that are free or this server's own, if they still are as they were seen.

        Returns those that were taken, with their new epochs and their positions.
        """

    def give_up(
        self, space: str, subscriber_id: str, leases: Sequence[Lease]
    ) -> asyncio.Future[None]:
        """Let others take these leases, as far as they are still this server's."""

    def wish(
        self, space: str, subscriber_id: str, position: int, wish: str | None
    ) -> asyncio.Future[None]:
        """Ask whoever holds its swimlane to ``replay`` or ``discard`` a dead letter; None: done."""

    def leave(self) -> asyncio.Future[None]:
        """Hold nothing any more."""


class Engine(Protocol):
    """A database that holds the log. ``start`` before the first call, ``stop`` after the last."""

    @property
    def keys(self) -> KeyStore:
        """The stored API keys."""

    @property
    def counts(self) -> AppendCounts:
        """What has become of the appends so far."""

    @property
    def leasing(self) -> Leasing | None:
        """How swimlanes are shared with other servers; None: this engine has no others."""

    @property
    def exists(self) -> bool:
        """Whether the storage is there; if it is not, ``start`` makes it. May be asked before."""

    @property
    def head(self) -> int:
        """The position of the newest event that readers can see; 0 in an empty log.

        Where the log has several partitions: of the first.
        """

    @property
    def heads(self) -> tuple[int, ...]:
        """The same of each partition. In an empty one it is less than any position of its."""

    async def newest_heads(self) -> tuple[int, ...]:
        """Return the position of the newest event that any server has committed by now.

        Of each partition. ``heads`` are there, at least, when it returns. Raises
        ServiceUnavailable.
        """

    async def start(
        self,
        on_commit: Callable[[Committed], None],
        wants_events: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """Open the storage; from then on call ``on_commit``, on the loop, as the head moves.

        ``on_commit`` is called before the future of the append that moved the head is done.
        ``wants_events`` says whether anybody would use what other servers append to a partition
        now: when nobody would, it need not be read to be told.
        Raises ConfigurationError when the storage can't be opened, another server holds it, or a
        migration has begun it and is not finished (copying.py).
        """

    async def stop(self) -> None:
        """Finish what has begun, make it durable, close the storage."""

    def append(self, append: Append) -> asyncio.Future[Appended]:
        """Append to one entity, in one atomic step with its version and trigger checks.

        Raises EntityExists, OptimisticLockError, DuplicateEvent, NotFound (an update of an
        entity that does not exist) or ServiceUnavailable. Done: it is on disk.
        """

    def append_all(
        self, appends: Sequence[Append], *, atomic: bool
    ) -> asyncio.Future[list[Appended | EventuaryError]]:
        """Append to several entities in one transaction; one outcome each, in order.

        ``atomic``: if any is refused, nothing is written, and each that was not itself
        refused has a Conflict as its outcome. Raises ServiceUnavailable for the whole.
        """

    def load(
        self, space: str, entity_type: str, entity_id: str, triggering_event_token: str | None
    ) -> asyncio.Future[Entity]:
        """Read an entity's events in order (those after its snapshot, when it has one).

        Raises DuplicateEvent when the token was already applied to this entity.
        """

    def history(
        self, space: str, entity_type: str, entity_id: str, after: str
    ) -> asyncio.Future[list[EntityEvent]]:
        """Read an entity's events after a version, in order, whatever snapshot there is."""

    def store_snapshot(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        snapshot: NewSnapshot,
    ) -> asyncio.Future[None]:
        """Store a snapshot as of a version, unless a newer one is stored. Done: it is on disk.

        Raises NotFound when the entity has no event of this id.
        """

    def read_log(self, query: LogQuery) -> asyncio.Future[LogPage]:
        """Read a page of the log."""

    def count(self, query: LogQuery, cap: int) -> asyncio.Future[int]:
        """Count the events that a query selects, ignoring its limits; stop at ``cap``."""

    def event_types(self, space: str) -> list[EventType]:
        """Return the event types that occur in a space, as far as this server has read the log."""

    def swimlanes(self, space: str) -> int:
        """Return how many swimlanes the space has, or will have with its first event."""

    def probe(self) -> asyncio.Future[None]:
        """Write something and make it durable, though it changes nothing: can the storage?"""

    def load_subscriptions(
        self, space: str | None, subscriber_id: str | None = None
    ) -> asyncio.Future[list[SubscriptionRecord]]:
        """Return stored subscriptions: of a space (None: of all), or the one of this id."""

    def create_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Create a subscription. Done: it is on disk. Raises Conflict when it exists."""

    def store_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Create or replace a subscription, its positions included. Done: it is on disk.

        Positions that other servers acknowledge under leases of before are not stored any more.
        """

    def change_subscription(self, record: SubscriptionRecord) -> asyncio.Future[None]:
        """Store selection, policy and pause of a subscription; its positions stay as they are."""

    def delete_subscription(self, space: str, subscriber_id: str) -> asyncio.Future[None]:
        """Forget a subscription, its positions and its dead letters."""

    def store_positions(self, positions: Sequence[SwimlanePosition]) -> asyncio.Future[None]:
        """Store positions of existing subscriptions; those of deleted ones are passed over.

        So are those of leases that are not held any more.
        """

    def load_dead_letters(
        self, space: str, subscriber_id: str
    ) -> asyncio.Future[list[DeadLetterRecord]]:
        """Return the dead letters of a subscription, lowest position first."""

    def count_dead_letters(self) -> asyncio.Future[dict[tuple[str, str], int]]:
        """Count dead letters by (space, subscriber id), where there are any."""

    def store_dead_letter(
        self, record: DeadLetterRecord, epoch: int | None = None
    ) -> asyncio.Future[None]:
        """Park an event; parking it again replaces what was known of it.

        ``epoch``: of the lease under which it was delivered; one that is not held any more parks
        nothing.
        """

    def delete_dead_letter(
        self, space: str, subscriber_id: str, position: int
    ) -> asyncio.Future[None]:
        """Forget a dead letter; nothing happens when there is none."""
