"""The newest events of the log in memory: live delivery reads no disk."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from eventuary.engines.engine import Committed
from eventuary.events import LogEvent

#: The tail holds at most so many events,
_MOST_EVENTS = 8192
#: and at most so many characters of event data.
_MOST_CHARACTERS = 8 * 1024 * 1024

_position = attrgetter("position")


class Tail:
    """All events after ``start`` up to ``head``, of all spaces, in log order."""

    def __init__(
        self, head: int, most_events: int = _MOST_EVENTS, most_characters: int = _MOST_CHARACTERS
    ) -> None:
        self.start = head
        self.head = head
        self._events: list[LogEvent] = []
        self._characters = 0
        self._most_events = most_events
        self._most_characters = most_characters

    def __len__(self) -> int:
        return len(self._events)

    def extend(self, committed: Committed) -> None:
        """Take in what was committed; the oldest events leave when there are too many."""
        if committed.events is None:
            self._events.clear()
            self._characters = 0
            self.start = committed.head
        else:
            self._events += committed.events
            self._characters += sum(len(event.event_data) for event in committed.events)
            if len(self._events) > self._most_events or self._characters > self._most_characters:
                self._trim()
        self.head = committed.head

    def after(self, position: int, limit: int) -> Sequence[LogEvent]:
        """Return the events after ``position`` (which is not below ``start``), up to ``limit``."""
        first = bisect_right(self._events, position, key=_position)
        return self._events[first : first + limit]

    def _trim(self) -> None:
        # To three quarters, so that it is not done at every commit.
        excess = self._characters - self._most_characters * 3 // 4
        gone = max(0, len(self._events) - self._most_events * 3 // 4)
        characters = sum(len(event.event_data) for event in self._events[:gone])
        while characters < excess:
            characters += len(self._events[gone].event_data)
            gone += 1
        self._characters -= characters
        self.start = self._events[gone - 1].position
        del self._events[:gone]
