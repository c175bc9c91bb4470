"""Appends that wait, and how they are taken: all that waits becomes one group, with two limits.

A group may hold atomic calls, each done as a whole or not at all, as long as nothing else in the
group touches their entities: so whether a call is done depends on what was there before the group
and on the call alone, which the database decides in one look.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec

from eventuary.errors import EventuaryError
from eventuary.events import Append, Appended

#: A group takes no more appends once it has this many; what waits forms the next group.
MOST_APPENDS = 1024

#: Nor once its events' data reach so many characters.
_MOST_CHARACTERS = 8 * 1024 * 1024

_Entity = tuple[str, str, str | None]


class Single(msgspec.Struct, gc=False):
    """An append that waits."""

    append: Append
    future: asyncio.Future[Appended]


class Several(msgspec.Struct, gc=False):
    """Several appends of one call."""

    appends: Sequence[Append]
    atomic: bool
    future: asyncio.Future[list[Appended | EventuaryError]]


Work = Single | Several


def appends_of(work: Work) -> Sequence[Append]:
    """Return the appends of a piece of work, in order."""
    return (work.append,) if isinstance(work, Single) else work.appends


class Waiting:
    """What waits, in the order in which it came."""

    def __init__(self) -> None:
        self._work: deque[Work] = deque()

    def __bool__(self) -> bool:
        return bool(self._work)

    def put(self, work: Work) -> None:
        """Let it wait."""
        self._work.append(work)

    def take_all(self) -> list[Work]:
        """Take all that waits, whatever the limits."""
        taken = list(self._work)
        self._work.clear()
        return taken

    def take_group(self) -> list[Work]:
        """Take the next group."""
        group: list[Work] = []
        appends = characters = 0
        entities: set[_Entity] = set()
        in_calls: set[_Entity] = set()
        while self._work and appends < MOST_APPENDS and characters < _MOST_CHARACTERS:
            work = self._work[0]
            touched = _entities(work)
            atomic = isinstance(work, Several) and work.atomic
            if touched and not touched.isdisjoint(entities if atomic else in_calls):
                break
            group.append(self._work.popleft())
            entities |= touched
            if atomic:
                in_calls |= touched
            for append in appends_of(work):
                appends += 1
                characters += append.characters
        return group


def _entities(work: Work) -> set[_Entity]:
    """Return the entities that it names; one whose id is generated is nobody else's."""
    return {
        (append.space, append.entity_type, append.entity_id)
        for append in appends_of(work)
        if append.entity_id is not None
    }
