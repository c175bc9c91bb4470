"""Histories that were read, kept so that what an entity was once need not be read again.

A node finds an entity's events by reading what lies between them: of a long history, scattered over
the log, that is much. What is kept is never taken for all there is. Which event is the last is
asked each time, and what came behind those that are kept is read.
"""

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from eventuary.engines.jetstream.messages import StoredEvent

#: Characters that are kept in all.
_MOST_CHARACTERS = 32 * 1024 * 1024

#: What an event counts besides its data.
_EVENT_CHARACTERS = 400

#: An event, and its sequence.
Placed = tuple[int, StoredEvent]


class _Kept(msgspec.Struct, frozen=True):
    #: The events are all behind this sequence, up to the last of them.
    after: int
    events: Sequence[Placed]
    characters: int


class Histories:
    """Those that were used last. None has fewer than one event."""

    def __init__(self, most_characters: int = _MOST_CHARACTERS) -> None:
        self._most_characters = most_characters
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._characters = 0

    def behind(self, subject: str, after: int) -> list[Placed]:
        """Return an entity's events behind a sequence, from the first on; as far as they are kept.

        Empty: none is kept, or not from there on.
        """
        kept = self._kept.get(subject)
        if kept is None or kept.after > after:
            return []
        self._kept.move_to_end(subject)
        if kept.after == after:
            return list(kept.events)
        return [each for each in kept.events if each[0] > after]

    def keep(self, subject: str, after: int, events: Sequence[Placed]) -> None:
        """Keep the events of an entity that are behind a sequence, all up to the last of them."""
        if not events:
            return
        before = self._kept.get(subject)
        if before is not None and before.after <= after and before.events[-1][0] >= events[-1][0]:
            return
        characters = sum(
            _EVENT_CHARACTERS + len(event.event_data) + len(event.metadata or "")
            for _, event in events
        )
        if characters > self._most_characters // 4:
            return  # it would push out too many others
        self.forget(subject)
        self._kept[subject] = _Kept(after, list(events), characters)
        self._characters += characters
        while self._characters > self._most_characters:
            _, gone = self._kept.popitem(last=False)
            self._characters -= gone.characters

    def forget(self, subject: str) -> None:
        """Keep nothing of an entity."""
        gone = self._kept.pop(subject, None)
        if gone is not None:
            self._characters -= gone.characters
