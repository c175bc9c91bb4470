"""Storing a snapshot apart from an append: a statement that the writer runs in its transactions."""

import sqlite3

from eventuary.engines.sqlite.catalogue import Catalogue
from eventuary.errors import NotFound
from eventuary.events import NewSnapshot

_EVENT = "SELECT 1 FROM events WHERE entity_id = ? AND entity_type_no = ? AND event_id = ?"

_STORE_IF_NEWER = """
INSERT INTO snapshots (entity_type_no, entity_id, entity_version, snapshot_type, json)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (entity_type_no, entity_id) DO UPDATE SET
    entity_version = excluded.entity_version,
    snapshot_type = excluded.snapshot_type,
    json = excluded.json
WHERE excluded.entity_version >= snapshots.entity_version
"""


def store_snapshot(
    connection: sqlite3.Connection,
    catalogue: Catalogue,
    space: str,
    entity_type: str,
    entity_id: str,
    entity_version: str,
    snapshot: NewSnapshot,
) -> None:
    """Store a snapshot, unless a newer one is stored.

    Raises NotFound when the entity has no event of this id: its loads would begin nowhere.
    """
    known = catalogue.spaces.get(space)
    type_no = known.entity_types.get(entity_type) if known else None
    if (
        type_no is None
        or connection.execute(_EVENT, (entity_id, type_no, entity_version)).fetchone() is None
    ):
        raise NotFound(
            f"entityVersion: {entity_type} {entity_id!r} has no event {entity_version} in space "
            f"{space!r}"
        )
    connection.execute(
        _STORE_IF_NEWER,
        (type_no, entity_id, entity_version, snapshot.snapshot_type, snapshot.json),
    )
    # Before the commit: whoever sees the snapshot must know that there is one.
    catalogue.snapshotted.add(type_no)
