"""One run of a torture test: its seed, its time, and its line of progress every few seconds.

A seed makes the same choices again; threads and processes still interleave as they like, so a
failure that depends on the moment may need several runs of the same seed to come again.
"""

import os
import random
import sys
import time

#: The variable that gives a seed again.
SEED_VARIABLE = "EVENTUARY_SEED"

#: The variable that shortens or lengthens all runs: 0.1 is a tenth of the usual time.
SHARE_VARIABLE = "EVENTUARY_TORTURE_SHARE"

#: Seconds between two lines of progress.
_SAY_EVERY = 3.0


class Run:
    """``seconds`` long, from when it is made; ``chance`` is seeded for it alone."""

    def __init__(self, name: str, seconds: float) -> None:
        given = os.environ.get(SEED_VARIABLE)
        self.seed = int(given) if given else random.SystemRandom().randrange(10**9)
        self.hint = f"{SEED_VARIABLE}={self.seed}"
        self.chance = random.Random(f"{self.seed}/{name}")
        self._name = name
        #: Which part of its usual length it has.
        self.share = float(os.environ.get(SHARE_VARIABLE) or 1)
        self._seconds = seconds * self.share
        self._began = time.monotonic()
        self._silent_until = 0.0
        self.say(f"{self._seconds:.0f} s, {self.hint} gives this run again")

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        """Seconds that are left; negative when it is over."""
        return self._seconds - self.elapsed

    @property
    def over(self) -> bool:
        """Whether its time is up."""
        return self.left <= 0

    def say(self, text: str) -> None:
        """Print where it stands, with its name and time, whatever was said last.

        On standard error: processes of pytest-xdist have no other way to the terminal.
        """
        self._silent_until = time.monotonic() + _SAY_EVERY
        print(f"  {self._name} {self.elapsed:5.0f} s: {text}", file=sys.stderr, flush=True)

    @property
    def quiet(self) -> bool:
        """Whether nothing was said for some seconds: a line of progress is due."""
        return time.monotonic() >= self._silent_until
