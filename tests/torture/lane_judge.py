"""The law of swimlanes, as a judge: each has one consumer at a time, and what is done is done.

It looks at what all consumers of a subscription got, whichever servers they are connected to, in
the order in which it came. Of a swimlane that one of them has at a time, each event is the one that
follows the event before it, or one that had come earlier: a rewind, when the swimlane has changed
hands. Two that had it at the same time would each go on from where it is itself. No rewind goes
behind a position that was seen in storage: all up to there was acknowledged, and stays so.

All that holds of the order in which it was sent. Where the process of the consumers stands still,
and a server with it, a swimlane changes hands meanwhile, and what both have sent waits to be read,
in any order. So the judge is told of such gaps, and lets pass what was read right after one.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.acceptance.order import Delivery
from tests.acceptance.stomp_client import Body

#: Seconds between two ticks of a journal, and those after which it has stood still.
_TICK = 0.1
_STOOD_STILL = 1.0

#: Seconds after a gap within which what has waited is read.
_READ_WITHIN = 2.0


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


class Gap(NamedTuple):
    """When the process of the consumers stood still."""

    began: float
    ended: float


class Journal:
    """What all consumers got, in the order in which they got it."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.gaps: list[Gap] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="journal", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Note no more gaps."""
        self._stop.set()
        self._thread.join(60)

    def record(self, event: Body) -> None:
        """Note an event that has just come."""
        delivery = Delivery(event.entity_id, event.id)
        with self._lock:
            self.received.append(Received(time.monotonic(), event.swimlane, event.offset, delivery))

    @property
    def deliveries(self) -> list[Delivery]:
        """All of them so far."""
        return [each.delivery for each in list(self.received)]

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(_TICK):
            now = time.monotonic()
            if now - before > _STOOD_STILL:
                self.gaps.append(Gap(before, now))
            before = now


def check_one_at_a_time(
    received: Iterable[Received],
    logged: Mapping[int, Sequence[int]],
    *,
    gaps: Sequence[Gap] = (),
    hint: str = "",
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
        if _waited(each, gaps):
            # Whose it is, and who goes on with the swimlane, is not known: the one who is further.
            rewinds += place <= last
            before[each.swimlane] = max(place, last)
            continue
        assert place <= last + 1, (
            f"{hint}: {each}, event {place} of its swimlane, came next after event {last}: "
            "somebody else had the swimlane"
        )
        rewinds += place <= last
        before[each.swimlane] = place
    return rewinds


def check_stored_stays(
    received: Iterable[Received],
    stored: Iterable[Stored],
    *,
    gaps: Sequence[Gap] = (),
    hint: str = "",
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
        assert _waited(each, gaps) or each.position > reached.get(each.swimlane, 0), (
            f"{hint}: {each} came although position {reached[each.swimlane]} was stored"
        )


def _waited(received: Received, gaps: Sequence[Gap]) -> bool:
    """Whether an event may have come long before it was read."""
    return any(gap.began <= received.at <= gap.ended + _READ_WITHIN for gap in gaps)
