"""Log lines that clients can cause: at most one in ten seconds, with a count of those held back."""

import time
from collections.abc import Callable


class Seldom:
    """Asked before each line of one kind. Belongs to one thread.

    ``seconds``: of silence behind each line. ``clock`` tells them, and never goes back.
    """

    def __init__(
        self, seconds: float = 10.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._silent_until: float | None = None
        self._held_back = 0

    def due(self) -> str | None:
        """Return None if the line is to be held back; else what to put at its end.

        That is empty, or says how many were held back since the last one.
        """
        now = self._clock()
        if self._silent_until is not None and now < self._silent_until:
            self._held_back += 1
            return None
        held_back, self._held_back = self._held_back, 0
        self._silent_until = now + self._seconds
        return f" (and {held_back} more since the last such line)" if held_back else ""
