"""The names that occur in the log, and the small numbers that stand for them in its rows.

The catalogue is held in memory whole. Only the writer adds to it, inside its transaction; what it
adds is staged, and visible to readers once the transaction is on disk.
"""

import sqlite3
from collections.abc import Callable
from functools import partial

from eventuary.errors import BadRequest
from eventuary.events import EventType

#: Most event types of one database: the catalogue is in memory.
MOST_EVENT_TYPES = 100_000


class Space:
    """A space's names. ``swimlanes`` is fixed from its first event or subscription on."""

    __slots__ = ("entity_types", "event_types", "number", "swimlanes")

    def __init__(self, number: int, swimlanes: int) -> None:
        self.number = number
        self.swimlanes = swimlanes
        self.entity_types: dict[str, int] = {}
        self.event_types: dict[EventType, int] = {}


class Catalogue:
    """Names to numbers, and back."""

    def __init__(self, connection: sqlite3.Connection, default_swimlanes: int) -> None:
        self.default_swimlanes = default_swimlanes
        self.spaces: dict[str, Space] = {}
        #: Event type number to (space, event type).
        self.names: dict[int, tuple[str, EventType]] = {}
        #: Numbers of entity types of which there are snapshots: the others need no look for one.
        self.snapshotted: set[int] = set()
        self._entity_types = 0
        self._undo: list[Callable[[], object]] = []
        for number, name, swimlanes in connection.execute(
            "SELECT space_no, name, swimlanes FROM spaces"
        ):
            self.spaces[name] = Space(number, swimlanes)
        for number, space, entity_type in connection.execute(
            "SELECT entity_type_no, spaces.name, entity_types.name"
            " FROM entity_types JOIN spaces USING (space_no)"
        ):
            self.spaces[space].entity_types[entity_type] = number
            self._entity_types += 1
        self.snapshotted.update(
            number
            for (number,) in connection.execute(
                "SELECT entity_type_no FROM entity_types WHERE EXISTS (SELECT 1 FROM snapshots"
                " WHERE snapshots.entity_type_no = entity_types.entity_type_no)"
            )
        )
        for number, space, entity_type, event_type in connection.execute(
            "SELECT event_type_no, spaces.name, entity_types.name, event_types.name"
            " FROM event_types JOIN entity_types USING (entity_type_no)"
            " JOIN spaces USING (space_no) ORDER BY event_type_no"
        ):
            self.spaces[space].event_types[EventType(entity_type, event_type)] = number
            self.names[number] = (space, EventType(entity_type, event_type))

    def swimlanes(self, space: str) -> int:
        """Return how many swimlanes a space has, or will have."""
        known = self.spaces.get(space)
        return known.swimlanes if known else self.default_swimlanes

    def event_types(self, space: str) -> list[EventType]:
        """Return the event types of a space, in the order of their first events."""
        known = self.spaces.get(space)
        return list(known.event_types) if known else []

    # What follows is the writer's, inside a transaction.

    def add_space(
        self, connection: sqlite3.Connection, name: str, swimlanes: int | None = None
    ) -> Space:
        """Return the space of this name; a new one is written. ``swimlanes`` None: the default."""
        known = self.spaces.get(name)
        if known is None:
            known = Space(len(self.spaces) + 1, swimlanes or self.default_swimlanes)
            connection.execute(
                "INSERT INTO spaces VALUES (?, ?, ?)", (known.number, name, known.swimlanes)
            )
            self.spaces[name] = known
            self._undo.append(partial(self.spaces.pop, name))
        return known

    def add_entity_type(self, connection: sqlite3.Connection, space: Space, name: str) -> int:
        """Return the number of a new entity type, and write it."""
        number = self._entity_types + 1
        connection.execute(
            "INSERT INTO entity_types VALUES (?, ?, ?)", (number, space.number, name)
        )
        self._entity_types = number
        space.entity_types[name] = number
        self._undo.append(partial(self._forget_entity_type, space, name))
        return number

    def add_event_type(
        self, connection: sqlite3.Connection, space_name: str, name: EventType
    ) -> int:
        """Return the number of a new event type, and write it.

        Raises BadRequest when the database would have more than MOST_EVENT_TYPES.
        """
        if len(self.names) >= MOST_EVENT_TYPES:
            raise BadRequest(
                f"eventType: {name.event_type!r} of {name.entity_type!r} is new, and there are "
                f"{MOST_EVENT_TYPES} event types already, the most that a database holds"
            )
        space = self.spaces[space_name]
        number = len(self.names) + 1
        connection.execute(
            "INSERT INTO event_types VALUES (?, ?, ?)",
            (number, space.entity_types[name.entity_type], name.event_type),
        )
        space.event_types[name] = number
        self.names[number] = (space_name, name)
        self._undo.append(partial(self._forget_event_type, space, name))
        return number

    def committed(self) -> None:
        """Keep what was added: it is on disk."""
        if self._undo:
            self._undo.clear()

    def rolled_back(self) -> None:
        """Forget what was added: the transaction was undone. Reads nothing: the disk may be ill."""
        while self._undo:
            self._undo.pop()()

    def _forget_entity_type(self, space: Space, name: str) -> None:
        del space.entity_types[name]
        self._entity_types -= 1

    def _forget_event_type(self, space: Space, name: EventType) -> None:
        del self.names[space.event_types.pop(name)]
