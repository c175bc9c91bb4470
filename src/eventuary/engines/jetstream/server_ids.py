"""Event ids of one server: they grow, and are above whatever they are told to follow.

The node half is a number that the state stream gave this server, and gives to no other. Clocks of
servers differ: an entity that another server has written last may be ahead of our clock, and then
our ids follow it. Only what the log holds is followed, or what is no more than a minute ahead: what
a client invents must not drive the ids of all.
"""

import time
from collections.abc import Callable

from eventuary.ids import ZERO_ID, IdGenerator

#: Milliseconds that an id which nobody has verified may be ahead of our clock.
MOST_AHEAD = 60_000


class ServerIds:
    """Ids of one server number."""

    def __init__(self, number: int, clock: Callable[[], int] = time.time_ns) -> None:
        self._number = number
        self._clock = clock
        self._last = ZERO_ID
        self._ids = IdGenerator(number, clock=clock)

    def next_id(self) -> str:
        """Return the next id, above all those returned or followed before."""
        self._last = self._ids.next_id()
        return self._last

    def follow(self, event_id: str) -> None:
        """Let all further ids be above this one."""
        if event_id > self._last:
            self._ids = IdGenerator(self._number, event_id, self._clock)
            self._last = event_id

    def is_far_ahead(self, event_id: str) -> bool:
        """Whether an id is too far ahead of our clock to be followed unseen."""
        return int(event_id[:16], 16) > self._clock() // 1_000_000 + MOST_AHEAD
