"""Storing a snapshot apart from an append."""

from eventuary.engines.postgres.database import Connection
from eventuary.errors import NotFound
from eventuary.events import NewSnapshot

_STORE_IF_NEWER = """
WITH event AS (
    SELECT e.entity_type_no FROM events e
    JOIN entity_types t USING (entity_type_no) JOIN spaces s USING (space_no)
    WHERE s.name = $1 AND t.name = $2 AND e.entity_id = $3 AND e.event_id = $4
),
stored AS (
    INSERT INTO snapshots (entity_type_no, entity_id, entity_version, snapshot_type, json)
    SELECT entity_type_no, $3, $4, $5, $6 FROM event
    ON CONFLICT (entity_id, entity_type_no) DO UPDATE SET
        entity_version = excluded.entity_version,
        snapshot_type = excluded.snapshot_type,
        json = excluded.json
    WHERE excluded.entity_version >= snapshots.entity_version
)
SELECT EXISTS (SELECT FROM event)
"""


async def store_snapshot(
    connection: Connection,
    space: str,
    entity_type: str,
    entity_id: str,
    entity_version: str,
    snapshot: NewSnapshot,
) -> None:
    """Store a snapshot, unless a newer one is stored.

    Raises NotFound when the entity has no event of this id: its loads would begin nowhere.
    """
    there = await connection.fetchval(
        _STORE_IF_NEWER,
        space,
        entity_type,
        entity_id,
        entity_version,
        snapshot.snapshot_type.encode(),
        snapshot.json.encode(),
    )
    if not there:
        raise NotFound(
            f"entityVersion: {entity_type} {entity_id!r} has no event {entity_version} in space "
            f"{space!r}"
        )
