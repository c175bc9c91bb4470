"""The rules of a subscription's delivery: how much may be under way, and what failure leads to."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from eventuary.errors import BadRequest

#: The least and the most that a rule may be.
BOUNDS: Mapping[str, tuple[float, float]] = {
    "window": (1, 10_000),
    "ack_timeout": (0.05, 86_400),
    "max_attempts": (1, 1_000_000),
    "first_pause": (0.001, 86_400),
    "longest_pause": (0.001, 86_400),
}


class OnDeadLetter(StrEnum):
    """What a swimlane does when one of its events has become a dead letter."""

    WAIT = "wait"  #: hold the swimlane until an operator replays or discards it: order matters
    CONTINUE = "continue"  #: go on with the events behind it


class DeliveryPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """Durations are in seconds."""

    #: Most messages of one swimlane beyond its acknowledged position.
    window: int = 128
    #: A swimlane without an acknowledgement for so long has its oldest message sent again.
    ack_timeout: float = 300.0
    #: Deliveries of one event before it becomes a dead letter.
    max_attempts: int = 10
    #: The pause before the second delivery; doubled for each one after it.
    first_pause: float = 0.5
    #: The longest pause between two deliveries.
    longest_pause: float = 60.0
    on_dead_letter: OnDeadLetter = OnDeadLetter.WAIT

    def pause_after(self, attempts: int) -> float:
        """Return how long to wait after the ``attempts``-th delivery has failed."""
        return min(self.longest_pause, self.first_pause * 2.0 ** min(attempts - 1, 30))

    def check(self) -> None:
        """Raise BadRequest, naming the field and its limits, for rules that can't be followed."""
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise BadRequest(f"{name}: {value} is outside {low}..{high}")
