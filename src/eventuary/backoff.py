"""Growing pauses between attempts, with jitter: what broke for many does not come back to all of
them in the same moment.
"""

import random

#: The first pause, in seconds, and what it grows to.
FIRST = 0.05
LONGEST = 2.0


class BackOff:
    """Each pause is twice the one before; between half of it and all of it is waited."""

    def __init__(self, first: float = FIRST, longest: float = LONGEST) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def next(self) -> float:
        """Return how many seconds to wait before the next attempt."""
        pause = self._next
        self._next = min(self._longest, pause * 2)
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew: it works again."""
        self._next = self._first
