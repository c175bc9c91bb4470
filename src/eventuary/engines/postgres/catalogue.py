"""The names that occur in the log, and the small numbers that stand for them in its rows.

This server's copy, in memory whole. Other servers add names at any time; what is known here covers
all that occurs at or below this server's head (see publishing.py), unless ``stale`` says otherwise.
A name is registered before the first append that uses it, in a statement of its own; it occurs,
and is listed, from its first event on.
"""

from collections.abc import Iterable

from eventuary.engines.postgres.database import Connection, Row
from eventuary.errors import BadRequest
from eventuary.events import EventType

#: Most event types of one database: the catalogue is in memory.
MOST_EVENT_TYPES = 100_000

_SPACES = "SELECT space_no, name, swimlanes FROM spaces"

_ENTITY_TYPES = """
SELECT entity_type_no, spaces.name AS name, swimlanes, entity_types.name AS entity_type
FROM entity_types JOIN spaces USING (space_no)
"""

_EVENT_TYPES = """
SELECT event_type_no, spaces.name AS name, swimlanes, entity_type_no,
       entity_types.name AS entity_type, event_types.name AS event_type, first_position
FROM event_types JOIN entity_types USING (entity_type_no) JOIN spaces USING (space_no)
WHERE $1::integer[] IS NULL OR event_type_no = ANY ($1)
ORDER BY first_position, event_type_no
"""

_NUMBERS = """
SELECT ARRAY(SELECT event_type_no FROM event_types),
       ARRAY(SELECT entity_type_no FROM entity_types), ARRAY(SELECT name FROM spaces)
"""

_ADD_SPACES = """
INSERT INTO spaces (name, swimlanes)
SELECT name, $2 FROM unnest($1::text[]) WITH ORDINALITY AS n (name, no) ORDER BY no
ON CONFLICT (name) DO NOTHING
"""

_ADD_ENTITY_TYPES = """
INSERT INTO entity_types (space_no, name)
SELECT space_no, n.entity_type
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (space, entity_type, no)
JOIN spaces ON spaces.name = n.space ORDER BY no
ON CONFLICT (space_no, name) DO NOTHING
"""

_ADD_EVENT_TYPES = """
INSERT INTO event_types (entity_type_no, name)
SELECT entity_type_no, n.event_type
FROM unnest($1::text[], $2::text[], $3::text[])
    WITH ORDINALITY AS n (space, entity_type, event_type, no)
JOIN spaces ON spaces.name = n.space
JOIN entity_types USING (space_no) WHERE entity_types.name = n.entity_type ORDER BY no
ON CONFLICT (entity_type_no, name) DO NOTHING
"""


class Space:
    """A space's names. ``swimlanes`` is fixed from its first event or subscription on."""

    __slots__ = ("entity_types", "event_types", "occurring", "swimlanes")

    def __init__(self, swimlanes: int) -> None:
        self.swimlanes = swimlanes
        self.entity_types: dict[str, int] = {}
        self.event_types: dict[EventType, int] = {}
        #: In the order of their first events.
        self.occurring: dict[EventType, None] = {}


class Catalogue:
    """Names to numbers, and back."""

    def __init__(self, default_swimlanes: int) -> None:
        self.default_swimlanes = default_swimlanes
        self.spaces: dict[str, Space] = {}
        #: Event type number to (space, event type).
        self.names: dict[int, tuple[str, EventType]] = {}
        self._occurring: set[int] = set()
        self._wanted = 1
        self._loaded = 0

    @property
    def stale(self) -> bool:
        """Whether names may be missing that occur at or below the head: ``load`` before use."""
        return self._loaded < self._wanted

    def become_stale(self) -> None:
        """Names have been passed over."""
        self._wanted += 1

    def swimlanes(self, space: str) -> int:
        """Return how many swimlanes a space has, or will have."""
        known = self.spaces.get(space)
        return known.swimlanes if known else self.default_swimlanes

    def event_types(self, space: str) -> list[EventType]:
        """Return the event types of a space, in the order of their first events."""
        known = self.spaces.get(space)
        return list(known.occurring) if known else []

    def occurs(self, number: int) -> bool:
        """Whether an event type is known to have events."""
        return number in self._occurring

    def note(self, number: int) -> None:
        """An event of this type is in the log."""
        if number not in self._occurring:
            self._occurring.add(number)
            space, name = self.names[number]
            self.spaces[space].occurring[name] = None

    async def load(self, connection: Connection) -> None:
        """Take in all names that are there by now."""
        wanted = self._wanted
        await self.load_entity_types(connection)
        self._take(await connection.fetch(_EVENT_TYPES, None))
        self._loaded = max(self._loaded, wanted)

    async def verify(self, connection: Connection) -> None:
        """Forget all, and take it in anew, if any of it is not in this database.

        A database that was replaced by its replica may have lost what was registered last.
        """
        event_types, entity_types, spaces = await connection.fetchrow(_NUMBERS)
        known = {number for each in self.spaces.values() for number in each.entity_types.values()}
        if (
            self.names.keys() <= set(event_types)
            and known <= set(entity_types)
            and self.spaces.keys() <= set(spaces)
        ):
            return
        self.spaces.clear()
        self.names.clear()
        self._occurring.clear()
        self.become_stale()
        await self.load(connection)

    async def load_entity_types(self, connection: Connection) -> None:
        """Take in the spaces and entity types that are there by now."""
        for row in await connection.fetch(_SPACES):
            self._space(row)
        for row in await connection.fetch(_ENTITY_TYPES):
            self._space(row).entity_types[row["entity_type"]] = row["entity_type_no"]

    async def learn(self, connection: Connection, numbers: Iterable[int]) -> None:
        """Take in the event types of these numbers, as far as they are not known."""
        unknown = [number for number in set(numbers) if number not in self.names]
        if unknown:
            self._take(await connection.fetch(_EVENT_TYPES, unknown))

    async def register(
        self, connection: Connection, names: Iterable[tuple[str, EventType]]
    ) -> None:
        """Register names that are new, and learn the numbers of all of them.

        Raises BadRequest when the database would have more event types than it holds.
        """
        wanted = list(dict.fromkeys(names))
        spaces = list(dict.fromkeys(space for space, _ in wanted))
        types = list(dict.fromkeys((space, name.entity_type) for space, name in wanted))
        await self._check_room(connection, wanted)
        await connection.execute(_ADD_SPACES, spaces, self.default_swimlanes)
        await connection.execute(
            _ADD_ENTITY_TYPES, [space for space, _ in types], [name for _, name in types]
        )
        await connection.execute(
            _ADD_EVENT_TYPES,
            [space for space, _ in wanted],
            [name.entity_type for _, name in wanted],
            [name.event_type for _, name in wanted],
        )
        await self.load(connection)

    async def register_space(self, connection: Connection, name: str) -> None:
        """Fix a space's number of swimlanes, if it is not."""
        if name not in self.spaces:
            await connection.execute(_ADD_SPACES, [name], self.default_swimlanes)
            await self.load_entity_types(connection)

    async def _check_room(
        self, connection: Connection, wanted: list[tuple[str, EventType]]
    ) -> None:
        if len(self.names) + len(wanted) <= MOST_EVENT_TYPES:
            return
        await self.load(connection)
        new = [name for name in wanted if name not in self.names.values()]
        if new and len(self.names) + len(new) > MOST_EVENT_TYPES:
            _, name = new[0]
            raise BadRequest(
                f"eventType: {name.event_type!r} of {name.entity_type!r} is new, and there are "
                f"{len(self.names)} event types already; a database holds "
                f"{MOST_EVENT_TYPES} at most"
            )

    def _space(self, row: Row) -> Space:
        name = row["name"]
        known = self.spaces.get(name)
        if known is None:
            known = self.spaces[name] = Space(row["swimlanes"])
        return known

    def _take(self, rows: list[Row]) -> None:
        for row in rows:
            number = row["event_type_no"]
            name = EventType(row["entity_type"], row["event_type"])
            space = self._space(row)
            space.entity_types[name.entity_type] = row["entity_type_no"]
            space.event_types[name] = number
            self.names[number] = (row["name"], name)
            if row["first_position"] is not None:
                self.note(number)
