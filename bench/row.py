"""One line of the result: our figure, what stands beside it, and whether the target is met.

Rounds take turns (ours, beside, ours, beside, …) and the judged ratio is the median of the rounds'
ratios, so that a machine that grows slower while it is measured favours neither.
"""

from collections.abc import Sequence
from statistics import median

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """``target`` None: shown for comparison, not judged."""

    work: str
    ours: list[float]
    unit: str
    #: What was measured beside it, and its figures, round by round.
    beside: str = ""
    theirs: list[float] = []
    target: float | None = None
    #: The figure, or the ratio, may not be above the target, rather than not below.
    at_most: bool = False

    @property
    def figure(self) -> float:
        """Our median."""
        return median(self.ours)

    @property
    def reference(self) -> float:
        """The median of what stands beside."""
        return median(self.theirs)

    @property
    def score(self) -> float:
        """What is judged: the ratio if something stands beside, else the figure."""
        if not self.theirs:
            return self.figure
        return median(ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True))

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.score <= self.target if self.at_most else self.score >= self.target


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    rounds: int = 5
    #: Of each measurement.
    seconds: float = 4.0
    catch_up_events: int = 500_000
    stored_events: int = 5_000_000
    memory_events: int = 1_000_000


QUICK = Effort(
    rounds=1, seconds=2.0, catch_up_events=100_000, stored_events=1_000_000, memory_events=200_000
)


def missed(rows: Sequence[Row]) -> list[Row]:
    """Return the rows whose targets were not met."""
    return [row for row in rows if row.met is False]
