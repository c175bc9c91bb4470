"""Event ids of one server: they grow, whatever its clock does, and are above those of the entity.

The node half of an id is the number that the database gave this server, and gives to no other
(table ``servers``). Clocks of servers differ: an entity that another server has written last may be
ahead of our clock, and then our ids follow it. They follow by themselves for a minute at most. A
version further ahead is believed when the log has it, and not because a client names it: what a
client invents must not drive the ids of all.
"""

import time
from collections.abc import Callable

from eventuary.ids import ZERO_ID, IdGenerator

#: Milliseconds that a version may be ahead of our clock and be followed unseen.
MOST_AHEAD = 60_000


class EventIds:
    """Ids of one server number. ``after``: an id that was in the log when the number was given."""

    def __init__(
        self, server_no: int, after: str = ZERO_ID, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.server_no = server_no
        self._clock = clock
        self._ids = IdGenerator(server_no, after, clock)
        #: The last id that was returned or followed.
        self.last = after

    def next_id(self) -> str:
        """Return the next id, above all those returned before."""
        self.last = self._ids.next_id()
        return self.last

    def is_far_ahead(self, version: str) -> bool:
        """Whether a version is too far ahead to be followed unseen."""
        return version > self.last and (
            int(version[:16], 16) > self._clock() // 1_000_000 + MOST_AHEAD
        )

    def follow(self, version: str) -> None:
        """Let all further ids be above a version."""
        if version > self.last:
            self._ids = IdGenerator(self.server_no, version, self._clock)
            self.last = version
