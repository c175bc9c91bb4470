"""The law of swimlanes, as a judge: each has one consumer at a time, and what is done is done.

It looks at what all consumers of a subscription got, whichever servers they are connected to, in
the order in which it came. Of a swimlane that one of them has at a time, each event is the one that
follows the event before it, or one that had come earlier: a rewind, when the swimlane has changed
hands. Two that had it at the same time would each go on from where it is itself. No rewind goes
behind a position that was seen in storage: all up to there was acknowledged, and stays so.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.acceptance.order import Delivery
from tests.acceptance.stomp_client import Body


class Received(NamedTuple):
    """One event as some consumer got it. ``at``: in seconds of ``time.monotonic``."""

    at: float
    swimlane: int
    position: int
    delivery: Delivery


class Stored(NamedTuple):
    """By swimlane, the positions that were in storage at a time, or before it."""

    at: float
    positions: Mapping[int, int]


class Journal:
    """What all consumers got, in the order in which they got it."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._lock = threading.Lock()

    def record(self, event: Body) -> None:
        """Note an event that has just come."""
        delivery = Delivery(event.entity_id, event.id)
        with self._lock:
            self.received.append(Received(time.monotonic(), event.swimlane, event.offset, delivery))

    @property
    def deliveries(self) -> list[Delivery]:
        """All of them so far."""
        return [each.delivery for each in list(self.received)]


def check_one_at_a_time(
    received: Iterable[Received], logged: Mapping[int, Sequence[int]], *, hint: str = ""
) -> int:
    """Each event follows the one before it, or is a rewind; returns how many rewinds there were.

    ``logged``: by swimlane, the positions of the events that the subscription selects.
    """
    places = {
        (swimlane, position): place
        for swimlane, positions in logged.items()
        for place, position in enumerate(positions)
    }
    rewinds = 0
    before = dict.fromkeys(logged, -1)
    for each in received:
        place = places.get((each.swimlane, each.position))
        assert place is not None, f"{hint}: {each} was delivered and is not stored"
        last = before[each.swimlane]
        assert place <= last + 1, (
            f"{hint}: {each}, event {place} of its swimlane, came next after event {last}: "
            "somebody else had the swimlane"
        )
        rewinds += place <= last
        before[each.swimlane] = place
    return rewinds


def check_stored_stays(
    received: Iterable[Received], stored: Iterable[Stored], *, hint: str = ""
) -> None:
    """Nothing comes at or below a position that had been seen in storage."""
    reached: dict[int, int] = {}
    looks = iter(stored)
    look = next(looks, None)
    for each in received:
        while look is not None and look.at < each.at:
            for swimlane, position in look.positions.items():
                reached[swimlane] = max(position, reached.get(swimlane, 0))
            look = next(looks, None)
        assert each.position > reached.get(each.swimlane, 0), (
            f"{hint}: {each} came although position {reached[each.swimlane]} was stored"
        )
