"""How often, and after what pauses, an update that met a conflict is decided again.

Or a call that failed is made again.
"""

import random
from collections.abc import Iterator

import msgspec


class Retries(msgspec.Struct, frozen=True):
    """Pauses double, and each is drawn at random up to its length, so that rivals part ways.

    Durations are in seconds.
    """

    #: Attempts in all; 1: a conflict, or a failure, is an error at once.
    attempts: int = 20
    first_pause: float = 0.002
    longest_pause: float = 0.25

    def pauses(self) -> Iterator[float]:
        """Yield the pause before each further attempt."""
        for attempt in range(self.attempts - 1):
            longest = min(self.longest_pause, self.first_pause * 2.0 ** min(attempt, 30))
            yield random.uniform(0, longest)
