"""One atomic step: check versions and triggers, then write, for a whole group at a time.

It is atomic because nobody else writes events: a lock keeps other servers from the database, and
the one writer runs one of these after the other. Knows nothing of threads or futures.
Checks read the database once per group, not once per append; what earlier appends of the same
group have done is kept beside it. A refused append leaves no trace, and the group goes on.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache

import msgspec

from eventuary.engines.sqlite.catalogue import Catalogue
from eventuary.errors import (
    Conflict,
    DuplicateEvent,
    EntityExists,
    EventuaryError,
    NotFound,
    OptimisticLockError,
)
from eventuary.events import Append, Appended, EventType, LogEvent
from eventuary.ids import IdGenerator
from eventuary.swimlanes import swimlane_of

_COLUMNS = 10
#: Rows of one INSERT at most. One statement gives the interpreter lock away once, where one a row
#: would give it away each time; and one statement alone needs no BEGIN and COMMIT around it.
_MOST_ROWS = 128

_VERSIONS = """
SELECT json_group_array((
    SELECT event_id FROM events
    WHERE entity_id = json_extract(value, '$[0]') AND entity_type_no = json_extract(value, '$[1]')
    ORDER BY event_id DESC LIMIT 1
)) FROM json_each(?)
"""

_APPLIED_TRIGGERS = """
SELECT json_group_array(EXISTS (
    SELECT 1 FROM events
    WHERE triggering_event_token = json_extract(value, '$[0]')
    AND entity_id = json_extract(value, '$[1]') AND entity_type_no = json_extract(value, '$[2]')
)) FROM json_each(?)
"""

_STORE_SNAPSHOT = """
INSERT INTO snapshots (entity_type_no, entity_id, entity_version, snapshot_type, json)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (entity_type_no, entity_id) DO UPDATE SET
    entity_version = excluded.entity_version,
    snapshot_type = excluded.snapshot_type,
    json = excluded.json
"""

_Entity = tuple[str, int]  # entity id, entity type number
_encode = msgspec.json.Encoder().encode
_decode_versions = msgspec.json.Decoder(list[str | None]).decode
_decode_flags = msgspec.json.Decoder(list[int]).decode


@cache
def _insert(rows: int) -> str:
    row = "(" + ",".join("?" * _COLUMNS) + ")"
    return f"INSERT INTO events VALUES {','.join([row] * rows)}"  # noqa: S608 - placeholders only


class Appending:
    """The appends of one group: check, then write. Make one per transaction.

    The transaction is begun by whoever writes first, unless all there is to write is one statement.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        catalogue: Catalogue,
        ids: IdGenerator,
        head: int,
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._ids = ids
        #: The position of the last event, those of this group included.
        self.head = head
        #: The group's events in log order, as the log will show them.
        self.events: list[LogEvent] = []
        self._versions: dict[_Entity, str | None] = {}
        self._applied: set[tuple[str, str, int]] = set()
        self._rows: list[object] = []
        self._snapshots: list[tuple[int, str, str, str, str]] = []

    def look_up(self, appends: Sequence[Append]) -> None:
        """Read, in two statements at most, what the checks of these appends need."""
        entities: list[_Entity] = []
        triggers: list[tuple[str, str, int]] = []
        spaces = self._catalogue.spaces
        for append in appends:
            if append.entity_id is None:
                continue  # a generated id is new
            space = spaces.get(append.space)
            number = space.entity_types.get(append.entity_type) if space else None
            if number is None:
                continue  # nothing of this type exists
            entity = (append.entity_id, number)
            if entity not in self._versions:
                self._versions[entity] = None
                entities.append(entity)
            if append.triggering_event_token is not None:
                triggers.append((append.triggering_event_token, *entity))
        if entities:
            found = self._connection.execute(_VERSIONS, (_encode(entities).decode(),)).fetchone()
            self._versions.update(zip(entities, _decode_versions(found[0]), strict=True))
        if triggers:
            found = self._connection.execute(
                _APPLIED_TRIGGERS, (_encode(triggers).decode(),)
            ).fetchone()
            self._applied.update(
                trigger
                for trigger, applied in zip(triggers, _decode_flags(found[0]), strict=True)
                if applied
            )

    def append(self, append: Append) -> Appended:
        """Check one append against the database and the group so far, and take it in.

        Raises Conflict or NotFound when it is refused.
        """
        space = self._catalogue.spaces.get(append.space)
        type_no = None if space is None else space.entity_types.get(append.entity_type)
        if append.entity_id is not None:
            self._check(append, append.entity_id, type_no)
        if space is None:
            space = self._catalogue.add_space(self.begin(), append.space)
        if type_no is None:
            type_no = self._catalogue.add_entity_type(self.begin(), space, append.entity_type)

        next_id = self._ids.next_id
        entity_id = append.entity_id if append.entity_id is not None else next_id()
        entity_type = append.entity_type
        token = append.triggering_event_token
        swimlane = swimlane_of(entity_type, entity_id, space.swimlanes)
        event_types = space.event_types
        # Names first: one that is refused must leave nothing of this append behind.
        numbers = []
        for event in append.events:
            # A plain tuple finds what a named one has stored, and is made faster.
            number = event_types.get((entity_type, event.event_type))  # type: ignore[call-overload]  # equal to an EventType
            if number is None:
                name = EventType(entity_type, event.event_type)
                number = self._catalogue.add_event_type(self.begin(), append.space, name)
            numbers.append(number)

        event_ids = []
        position = self.head
        rows = self._rows
        for event, number in zip(append.events, numbers, strict=True):
            position += 1
            event_id = next_id()
            event_ids.append(event_id)
            data = event.event_data
            metadata = event.metadata
            rows += (
                position,
                event_id,
                type_no,
                entity_id,
                number,
                swimlane,
                len(data) + len(metadata or ""),
                data,
                metadata,
                token,
            )
            self.events.append(
                LogEvent(
                    position,
                    event_id,
                    append.space,
                    entity_type,
                    entity_id,
                    event.event_type,
                    data,
                    metadata,
                    swimlane,
                    token,
                )
            )
        self.head = position
        version = event_ids[-1]
        self._versions[(entity_id, type_no)] = version
        if token is not None:
            self._applied.add((token, entity_id, type_no))
        if append.snapshot is not None:
            self._snapshots.append(
                (type_no, entity_id, version, append.snapshot.snapshot_type, append.snapshot.json)
            )
        return Appended(entity_id, version, event_ids)

    def append_atomically(self, appends: Sequence[Append]) -> list[Appended | EventuaryError]:
        """Take in all of these appends, or none of them; one outcome each."""
        before = (
            self.head,
            len(self.events),
            len(self._rows),
            len(self._snapshots),
            dict(self._versions),
            set(self._applied),
        )
        outcomes: list[Appended | EventuaryError] = []
        refused = False
        for append in appends:
            try:
                outcomes.append(self.append(append))
            except EventuaryError as error:
                outcomes.append(error)
                refused = True
        if not refused:
            return outcomes
        self.head, events, rows, snapshots, self._versions, self._applied = before
        del self.events[events:], self._rows[rows:], self._snapshots[snapshots:]
        return [
            outcome
            if isinstance(outcome, EventuaryError)
            else Conflict("not appended: another append of this atomic call was refused")
            for outcome in outcomes
        ]

    def begin(self) -> sqlite3.Connection:
        """Return the connection, in a transaction."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def write(self) -> None:
        """Write what was taken in, and commit: when this returns it is on disk."""
        rows = self._rows
        count = len(self.events)
        if count > _MOST_ROWS or self._snapshots:
            self.begin()
        for start in range(0, count, _MOST_ROWS):
            size = min(_MOST_ROWS, count - start)
            self._connection.execute(
                _insert(size), rows[start * _COLUMNS : (start + size) * _COLUMNS]
            )
        if self._snapshots:
            self._connection.executemany(_STORE_SNAPSHOT, self._snapshots)
            # Before the commit: whoever sees the snapshot must know that there is one.
            self._catalogue.snapshotted.update(row[0] for row in self._snapshots)
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")

    def _check(self, append: Append, entity_id: str, type_no: int | None) -> None:
        version = None if type_no is None else self._versions.get((entity_id, type_no))
        if version == append.expected_version and append.triggering_event_token is None:
            return  # the ordinary case, an absent entity to be created included
        name = f"{append.entity_type} {entity_id!r}"
        if append.expected_version is None:
            if version is not None:
                raise EntityExists(f"entityId: {name} exists already")
        elif version is None or type_no is None:
            raise NotFound(f"{name} does not exist in space {append.space!r}")
        elif (token := append.triggering_event_token) is not None and (
            (token, entity_id, type_no) in self._applied
        ):
            raise DuplicateEvent(f"triggeringEventToken: {token!r} was already applied to {name}")
        elif version != append.expected_version:
            raise OptimisticLockError(
                f"entityVersion: {name} is at version {version}, "
                f"not at {append.expected_version}: load it again"
            )
