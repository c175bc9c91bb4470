"""What an operator sees of subscriptions: lag, consumers, the state of each swimlane."""

from enum import StrEnum

import msgspec

from eventuary.delivery.policy import DeliveryPolicy


class SwimlaneState(StrEnum):
    """Where a subscription's swimlane stands. Exactly one at a time."""

    IDLE = "idle"  #: no consumer; events wait in the log
    BEHIND = "behind"  #: reads the log as fast as its consumer acknowledges
    LIVE = "live"  #: at the head; commits are delivered as they happen
    MOVING = "moving"  #: sends nothing new until what is outstanding is answered, then moves
    RETRYING = "retrying"  #: holds new events while a failed one waits for its next attempt
    HALTED = "halted"  #: a dead letter waits for an operator, and the swimlane with it
    PAUSED = "paused"  #: an operator paused the subscription
    ELSEWHERE = "elsewhere"  #: another server over the same storage delivers it


class SwimlaneStatus(msgspec.Struct, frozen=True, rename="camel"):
    """One swimlane of one subscription."""

    swimlane: int
    state: SwimlaneState
    #: Everything at or below this position is acknowledged.
    position: int
    #: Messages sent and not acknowledged.
    unacknowledged: int


class SubscriptionStatus(msgspec.Struct, frozen=True, rename="camel"):
    """One subscription."""

    space: str
    subscriber_id: str
    durability: str
    selection: dict[str, list[str]]
    paused: bool
    policy: DeliveryPolicy
    consumers: int
    #: Selected events not yet acknowledged; counted up to ``LAG_CAP``.
    lag: int
    dead_letters: int
    created_at: int
    swimlanes: list[SwimlaneStatus]


class SubscriptionLag(msgspec.Struct, frozen=True):
    """Of one subscription what tells whether somebody must look at it."""

    space: str
    subscriber_id: str
    durability: str
    consumers: int
    #: Selected events not yet acknowledged; counted up to ``LAG_CAP``.
    lag: int
    dead_letters: int


#: Lags are counted up to here: beyond it, the number means "at least".
LAG_CAP = 1_000_000
