"""The two sides of a delivery: Receiver, which a wire implements, and what it is given."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from eventuary.events import LogEvent


class AckMode(StrEnum):
    """How a receiver says that a delivery is done."""

    INDIVIDUAL = "client-individual"  #: each one by itself
    CUMULATIVE = "client"  #: one, and with it all that this receiver got before it
    AUTO = "auto"  #: none is said: a delivery counts as acknowledged once handed over


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One event on its way to one receiver.

    ``offset`` is the event's position in the log: it grows within a swimlane. ``event`` is shared
    between all subscriptions that deliver it. ``attempt`` counts from 1. For the notification
    that the present is reached, ``event.event_type`` is END_OF_CURRENT_EVENTS.
    """

    event: LogEvent
    swimlane: int
    offset: int
    attempt: int


class Receiver(Protocol):
    """Whoever takes deliveries: a STOMP connection's subscription, a test, an embedded handler.

    All methods are called on the event loop and must not block, raise, or call back into
    delivery before they return.
    """

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries, in order. Call ``Consumer.pause`` when no more can be taken for now."""

    def interrupted(self) -> None:
        """The way to the store broke, and is being mended: nothing handed over so far can be
        acknowledged any more. What of it was not, comes again. Never called by a store in this
        process.
        """

    def closed(self, reason: str) -> None:
        """The subscription ended from the server's side: deleted, or shutting down."""


class Consumer(Protocol):
    """A receiver's hold on its subscription. What delivery returns from ``subscribe``."""

    @property
    def space(self) -> str:
        """The subscription's space."""

    @property
    def subscriber_id(self) -> str:
        """The subscription's subscriber id."""

    def acknowledge(self, swimlane: int, offset: int) -> bool:
        """Say that a delivery is done; False when it was not outstanding here (a late one).

        A notification has the offset of the event before it, so it is acknowledged at minus that.
        """

    def refuse(self, swimlane: int, offset: int, reason: str, *, for_good: bool = False) -> bool:
        """Say that a delivery failed; it comes again after a pause, or becomes a dead letter.

        ``for_good``: a dead letter at once, as no further delivery would help.

        What was handed over behind it in its swimlane comes again too, in order: from this call on
        a receiver that keeps order drops what it has of the swimlane, and takes what is handed
        over next.
        """

    async def caught_up(self) -> None:
        """Return when all selected events of the log as it is now have been acknowledged.

        By whichever consumer of the subscription. Raises ServiceUnavailable when the subscription
        ends first.
        """

    def pause(self) -> None:
        """Take no more deliveries until ``resume``: the wire is full."""

    def resume(self) -> None:
        """Take deliveries again."""

    async def flush(self) -> None:
        """Return when all acknowledgements given so far are on disk."""

    async def close(self) -> None:
        """Leave the subscription: unacknowledged deliveries go to others, or wait on disk."""
