"""Appends as those who tried them remember them, whatever became of them.

Each event's data names its attempt, its leg of it, its place there and the leg's size: so half an
append, a lost one, one that was refused and yet is there, and one out of order are all visible in
what is stored.
"""

import itertools
import threading
from collections.abc import Sequence
from enum import StrEnum

import msgspec

#: The entity type that writers write.
ACCOUNT = "torture.Account"

#: The first event of each append to an account has this type, the others the second one.
MARKED, CHANGED = "Marked", "Changed"


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event's data. ``cause``: the id of the event that it reacts to."""

    attempt: str
    leg: int
    place: int
    size: int
    cause: str | None = None
    filler: str = ""


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an attempt that goes to one entity.

    ``entity_id`` None: the store chooses one. ``expected`` None: creation. ``snapshot``: the append
    carries one, whose JSON is the attempt's name.
    """

    entity_type: str = ACCOUNT
    entity_id: str | None
    expected: str | None
    size: int = 1
    filler: int = 0
    token: str | None = None
    snapshot: bool = False
    cause: str | None = None


class Verdict(StrEnum):
    """What was said about a leg."""

    ACKNOWLEDGED = "acknowledged"  #: it is stored
    REFUSED = "refused"  #: nothing of it is stored, nor ever will be
    UNKNOWN = "unknown"  #: no answer came, or one that does not know: all is stored, or nothing


class Outcome(msgspec.Struct, frozen=True):
    """A leg's verdict, with the event ids, or the code of the error (one of ours: unreachable)."""

    verdict: Verdict
    entity_id: str | None = None
    event_ids: Sequence[str] = ()
    code: str = ""


UNKNOWN = Outcome(Verdict.UNKNOWN)

#: There was no connection, and so nothing was sent.
UNREACHABLE = Outcome(Verdict.REFUSED, code="unreachable")


class Attempt:
    """One call. ``outcomes`` has one for each leg, and is empty while the call is under way."""

    def __init__(self, name: str, legs: Sequence[Leg], *, atomic: bool) -> None:
        self.name = name
        self.legs = legs
        self.atomic = atomic
        self.outcomes: Sequence[Outcome] = ()

    def places(self, number: int) -> list[Place]:
        """Return the data of the events of a leg."""
        leg = self.legs[number]
        return [
            Place(self.name, number, place, leg.size, leg.cause, "x" * leg.filler)
            for place in range(leg.size)
        ]


class Ledger:
    """All attempts, by name, noted before they are sent."""

    def __init__(self) -> None:
        self._attempts: dict[str, Attempt] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._verdicts = dict.fromkeys(Verdict, 0)

    def attempt(self, writer: str, legs: Sequence[Leg], *, atomic: bool = False) -> Attempt:
        """Note an attempt that is about to be made."""
        attempt = Attempt(f"{writer}/{next(self._numbers)}", legs, atomic=atomic)
        with self._lock:
            self._attempts[attempt.name] = attempt
        return attempt

    def told(self, attempt: Attempt, outcomes: Sequence[Outcome]) -> None:
        """Note what was answered."""
        with self._lock:
            attempt.outcomes = outcomes
            for each in outcomes:
                self._verdicts[each.verdict] += 1

    def find(self, name: str) -> Attempt | None:
        """Return an attempt; None when nobody has made it."""
        return self._attempts.get(name)

    def all_told(self) -> list[Attempt]:
        """Return those whose call is over."""
        with self._lock:
            return [each for each in self._attempts.values() if each.outcomes]

    def count(self, verdict: Verdict) -> int:
        """Return how many legs got this verdict."""
        return self._verdicts[verdict]
