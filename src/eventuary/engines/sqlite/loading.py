"""Reading one entity: its events in order, by the index that is its key."""

import sqlite3

from eventuary.engines.sqlite.catalogue import Catalogue
from eventuary.errors import DuplicateEvent
from eventuary.events import Entity, EntityEvent, Snapshot
from eventuary.ids import ZERO_ID

_EVENTS = """
SELECT event_id, event_type_no, event_data, metadata FROM events
WHERE entity_id = ? AND entity_type_no = ? AND event_id > ? ORDER BY event_id
"""

_SNAPSHOT = """
SELECT snapshot_type, json, entity_version FROM snapshots
WHERE entity_id = ? AND entity_type_no = ?
"""

_TRIGGER_APPLIED = """
SELECT 1 FROM events
WHERE triggering_event_token = ? AND entity_id = ? AND entity_type_no = ? LIMIT 1
"""


def load_entity(
    connection: sqlite3.Connection,
    catalogue: Catalogue,
    space: str,
    entity_type: str,
    entity_id: str,
    triggering_event_token: str | None,
) -> Entity:
    """Return an entity's history. Raises DuplicateEvent when the token was applied to it.

    The snapshot is read first: an append between the two statements can only add events after
    the one that was found, so no transaction is needed around them.
    """
    known = catalogue.spaces.get(space)
    type_no = known.entity_types.get(entity_type) if known else None
    if type_no is None:
        return Entity([])
    if (
        triggering_event_token is not None
        and connection.execute(
            _TRIGGER_APPLIED, (triggering_event_token, entity_id, type_no)
        ).fetchone()
    ):
        raise DuplicateEvent(
            f"triggeringEventToken: {triggering_event_token!r} was already applied to "
            f"{entity_type} {entity_id!r}"
        )
    snapshot = None
    if type_no in catalogue.snapshotted:
        stored = connection.execute(_SNAPSHOT, (entity_id, type_no)).fetchone()
        snapshot = Snapshot(*stored) if stored else None
    after = snapshot.entity_version if snapshot else ZERO_ID
    return Entity(_events_after(connection, catalogue, entity_id, type_no, after), snapshot)


def load_history(
    connection: sqlite3.Connection,
    catalogue: Catalogue,
    space: str,
    entity_type: str,
    entity_id: str,
    after: str,
) -> list[EntityEvent]:
    """Return an entity's events after a version, whatever snapshot there is."""
    known = catalogue.spaces.get(space)
    type_no = known.entity_types.get(entity_type) if known else None
    if type_no is None:
        return []
    return _events_after(connection, catalogue, entity_id, type_no, after)


def _events_after(
    connection: sqlite3.Connection,
    catalogue: Catalogue,
    entity_id: str,
    type_no: int,
    after: str,
) -> list[EntityEvent]:
    names = catalogue.names
    return [
        EntityEvent(event_id, names[number][1].event_type, data, metadata)
        for event_id, number, data, metadata in connection.execute(
            _EVENTS, (entity_id, type_no, after)
        ).fetchall()
    ]
