"""Which entities of a log that is copied are doubtful (triggers.py), as its writer would have said.

An entity's history need not be read for a token that is of a later event than its last one: what a
token has triggered has ids above that event's. An event whose own token is not below its id breaks
that, whether a client has invented the token or it comes from a store whose clock is ahead; so from
that event on its entity is doubtful. They are few; but a migration that goes on after it was killed
must know them, so they are noted in cells before the events that make them so.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from eventuary.engines.jetstream.cells import Cells, Change
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.triggers import is_ours
from eventuary.events import LogEvent
from eventuary.tokens import triggering_event_id

_KIND = "doubtful"

#: Subjects of a cell, at most.
_MOST_OF_A_CELL = 1_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[str]).decode


class Doubts:
    """The subjects of the doubtful entities."""

    def __init__(self, cells: Cells, subjects: Subjects) -> None:
        self._cells = cells
        self._cell = subjects.cell(_KIND)
        self._subjects: set[str] = set()

    async def load(self) -> None:
        """Take in those that were noted."""
        async for page in self._cells.pages(f"{self._cell}.>"):
            for each in page.values():
                self._subjects.update(_decode(each.data))

    async def note(self, events: Sequence[tuple[str, LogEvent]]) -> None:
        """Note the entities, by subject, that events make doubtful which are about to be copied."""
        new = sorted({subject for subject, event in events if _is_odd(event)} - self._subjects)
        for start in range(0, len(new), _MOST_OF_A_CELL):
            said = _encode(new[start : start + _MOST_OF_A_CELL])
            # Named for what it says: the same, noted again, is one cell.
            name = hashlib.sha256(said).hexdigest()[:32]
            await self._cells.put(Change(f"{self._cell}.{name}", said, None))
        self._subjects.update(new)

    def __contains__(self, subject: str) -> bool:
        return subject in self._subjects

    async def forget(self) -> None:
        """Forget them: nothing is copied any more."""
        await self._cells.forget(f"{self._cell}.>")


def _is_odd(event: LogEvent) -> bool:
    """Whether an event's token is not of an event before it, by their ids."""
    token = event.triggering_event_token
    return token is not None and is_ours(token) and triggering_event_id(token) >= event.event_id
