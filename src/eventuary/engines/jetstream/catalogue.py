"""The names that occur in the log: spaces with their numbers of swimlanes, and event types.

This server's copy, in memory whole. A name is registered before the first append that uses it, so
that none is missing when a server dies in between; one whose first append is refused stays.
"""

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from eventuary.engines.jetstream.api import Message
from eventuary.engines.jetstream.cells import Cells, Change, Moved
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.errors import BadRequest
from eventuary.events import Append, EventType

#: Most event types of one log: the catalogue is in memory.
MOST_EVENT_TYPES = 100_000

SPACE, _TYPE, _SNAPSHOTTED = "space", "type", "snapshotted"


class _SpaceCell(msgspec.Struct, frozen=True):
    name: str
    swimlanes: int


class _TypeCell(msgspec.Struct, frozen=True):
    space: str
    entity_type: str
    event_type: str = ""


_encode = msgspec.json.Encoder().encode
_decode_space = msgspec.json.Decoder(_SpaceCell).decode
_decode_type = msgspec.json.Decoder(_TypeCell).decode


def spaces_of(cells: Mapping[str, Message]) -> dict[str, int]:
    """Return the spaces that these cells hold, and their numbers of swimlanes, oldest first."""
    spaces = [_decode_space(each.data) for each in cells.values()]
    return {space.name: space.swimlanes for space in spaces}


class Catalogue:
    """What this server knows of the names."""

    def __init__(self, cells: Cells, subjects: Subjects, default_swimlanes: int) -> None:
        self._cells = cells
        self._subjects = subjects
        self._default_swimlanes = default_swimlanes
        self._swimlanes: dict[str, int] = {}
        self._types: dict[str, dict[EventType, None]] = {}
        self._number = 0
        self._snapshotted: set[tuple[str, str]] = set()

    async def load(self) -> None:
        """Take in all names that are there."""
        cell = self._subjects.cell
        self._swimlanes.update(spaces_of(await self._cells.look([f"{cell(SPACE)}.>"])))
        for found in (await self._cells.look([f"{cell(_TYPE)}.>"])).values():
            each = _decode_type(found.data)
            self.note(each.space, EventType(each.entity_type, each.event_type))
        for found in (await self._cells.look([f"{cell(_SNAPSHOTTED)}.>"])).values():
            each = _decode_type(found.data)
            self._snapshotted.add((each.space, each.entity_type))

    def swimlanes(self, space: str) -> int:
        """Return how many swimlanes a space has, or will have."""
        return self._swimlanes.get(space, self._default_swimlanes)

    def event_types(self, space: str) -> list[EventType]:
        """Return the event types of a space, in the order in which they were registered."""
        return list(self._types.get(space, ()))

    def note(self, space: str, event_type: EventType) -> None:
        """This event type occurs."""
        known = self._types.setdefault(space, {})
        if event_type not in known:
            known[event_type] = None
            self._number += 1

    async def find_space(self, space: str) -> None:
        """Learn a space's number of swimlanes, if it is there and not known."""
        if space not in self._swimlanes:
            found = await self._cells.get(self._subjects.cell(SPACE, space))
            if found is not None:
                self._swimlanes[space] = _decode_space(found.data).swimlanes

    async def learn_space(self, space: str) -> int:
        """Return the swimlanes of a space that has events."""
        known = self._swimlanes.get(space)
        return known if known is not None else await self.fix_space(space)

    async def fix_space(self, space: str) -> int:
        """Fix a space's number of swimlanes, if it is not; and return it."""
        return await self.add_space(space, self._default_swimlanes)

    async def add_space(self, space: str, swimlanes: int) -> int:
        """Fix a space's number of swimlanes at this one, if it is not; return what it is."""
        known = self._swimlanes.get(space)
        if known is not None:
            return known
        subject = self._subjects.cell(SPACE, space)
        while (found := await self._cells.get(subject)) is None:
            with suppress(Moved):
                await self._cells.put(Change(subject, _encode(_SpaceCell(space, swimlanes)), 0))
        self._swimlanes[space] = _decode_space(found.data).swimlanes
        return self._swimlanes[space]

    async def register(self, append: Append) -> None:
        """Register the names of an append that are new. Raises BadRequest when there is no room."""
        if append.space not in self._swimlanes:
            await self.fix_space(append.space)
        known = self._types.get(append.space, {})
        for event in append.events:
            # A plain tuple finds what a named one has stored, and is made faster.
            if (append.entity_type, event.event_type) not in known:
                await self.register_type(
                    append.space, EventType(append.entity_type, event.event_type)
                )
                known = self._types[append.space]

    async def register_type(self, space: str, name: EventType) -> None:
        """Register an event type, if it is not. Raises BadRequest when there is no room."""
        if name in self._types.get(space, ()):
            return
        if self._number >= MOST_EVENT_TYPES:
            raise BadRequest(
                f"eventType: {name.event_type!r} of {name.entity_type!r} is new, and there are "
                f"{MOST_EVENT_TYPES} event types already, the most that a log holds"
            )
        subject = self._subjects.cell(_TYPE, space, name.entity_type, name.event_type)
        with suppress(Moved):  # another server, or another append, has registered it
            await self._cells.put(
                Change(subject, _encode(_TypeCell(space, name.entity_type, name.event_type)), 0)
            )
        self.note(space, name)

    def has_snapshots(self, space: str, entity_type: str) -> bool:
        """Whether entities of a type may have snapshots, as far as this server knows."""
        return (space, entity_type) in self._snapshotted

    async def register_snapshots(self, space: str, entity_type: str) -> None:
        """From now on entities of a type may have snapshots."""
        if (space, entity_type) in self._snapshotted:
            return
        subject = self._subjects.cell(_SNAPSHOTTED, space, entity_type)
        with suppress(Moved):  # another server has registered it
            await self._cells.put(Change(subject, _encode(_TypeCell(space, entity_type)), 0))
        self._snapshotted.add((space, entity_type))
