"""What is stored of subscriptions: the record, a position per swimlane, dead letters.

Everything here may be done twice to the same effect.
"""

from collections.abc import Sequence

import msgspec

from eventuary.engines.engine import DeadLetterRecord, SubscriptionRecord, SwimlanePosition
from eventuary.engines.postgres.catalogue import Catalogue
from eventuary.engines.postgres.database import Connection
from eventuary.errors import Conflict, ServiceUnavailable

_SUBSCRIPTIONS = """
SELECT space, subscriber_id, selection, policy, paused, created_at, ARRAY(
    SELECT position FROM swimlane_positions
    WHERE swimlane_positions.subscription_no = subscriptions.subscription_no
    ORDER BY swimlane
)
FROM subscriptions
WHERE ($1::text IS NULL OR space = $1) AND ($2::text IS NULL OR subscriber_id = $2)
ORDER BY space, subscriber_id
"""

_CREATE_SUBSCRIPTION = """
WITH created AS (
    INSERT INTO subscriptions (space, subscriber_id, selection, policy, paused, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (space, subscriber_id) DO NOTHING
    RETURNING subscription_no
),
positions AS (
    INSERT INTO swimlane_positions (subscription_no, swimlane, position)
    SELECT subscription_no, no - 1, position
    FROM created, unnest($7::bigint[]) WITH ORDINALITY AS p (position, no)
)
SELECT subscription_no FROM created
"""

# A new epoch: whoever delivers from the positions of before stores none of them any more.
_STORE_SUBSCRIPTION = """
WITH stored AS (
    INSERT INTO subscriptions (space, subscriber_id, selection, policy, paused, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (space, subscriber_id) DO UPDATE SET
        selection = excluded.selection, policy = excluded.policy, paused = excluded.paused,
        revision = subscriptions.revision + 1
    RETURNING subscription_no
)
INSERT INTO swimlane_positions (subscription_no, swimlane, position)
SELECT subscription_no, no - 1, position
FROM stored, unnest($7::bigint[]) WITH ORDINALITY AS p (position, no)
ON CONFLICT (subscription_no, swimlane) DO UPDATE SET
    position = excluded.position, epoch = swimlane_positions.epoch + 1
"""

_CHANGE_SUBSCRIPTION = """
UPDATE subscriptions SET selection = $3, policy = $4, paused = $5, revision = revision + 1
WHERE space = $1 AND subscriber_id = $2
"""

_DELETE_SUBSCRIPTION = "DELETE FROM subscriptions WHERE space = $1 AND subscriber_id = $2"

# Under a lease: the present one, held by this server. Without: what no living server holds.
_STORE_POSITIONS = """
UPDATE swimlane_positions p SET position = n.position
FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::bigint[])
    AS n (space, subscriber_id, swimlane, position, epoch)
JOIN subscriptions s USING (space, subscriber_id)
WHERE p.subscription_no = s.subscription_no AND p.swimlane = n.swimlane
AND CASE WHEN n.epoch IS NULL
    THEN NOT EXISTS (SELECT FROM deliverers d WHERE d.deliverer_no = p.holder)
    ELSE p.epoch = n.epoch AND p.holder = $6
END
"""

_DEAD_LETTERS = """
SELECT space, subscriber_id, swimlane, position, event_id, entity_type, entity_id, event_type,
       attempts, reason, parked_at
FROM dead_letters JOIN subscriptions USING (subscription_no)
WHERE space = $1 AND subscriber_id = $2 ORDER BY position
"""

_COUNT_DEAD_LETTERS = """
SELECT space, subscriber_id, count(*) FROM dead_letters JOIN subscriptions USING (subscription_no)
GROUP BY space, subscriber_id
"""

_STORE_DEAD_LETTER = """
INSERT INTO dead_letters (
    subscription_no, position, swimlane, event_id, entity_type, entity_id, event_type, attempts,
    reason, parked_at
)
SELECT s.subscription_no, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM subscriptions s
WHERE s.space = $1 AND s.subscriber_id = $2 AND (
    $12::bigint IS NULL OR EXISTS (
        SELECT FROM swimlane_positions p
        WHERE p.subscription_no = s.subscription_no AND p.swimlane = $4
        AND p.epoch = $12 AND p.holder = $13
    )
)
ON CONFLICT (subscription_no, position) DO UPDATE SET
    attempts = excluded.attempts, reason = excluded.reason, parked_at = excluded.parked_at,
    wish = NULL
"""

_DELETE_DEAD_LETTER = """
DELETE FROM dead_letters WHERE position = $3 AND subscription_no = (
    SELECT subscription_no FROM subscriptions WHERE space = $1 AND subscriber_id = $2
)
"""


async def load_subscriptions(
    connection: Connection, space: str | None, subscriber_id: str | None
) -> list[SubscriptionRecord]:
    """Return the stored subscriptions that match; None matches all."""
    return [
        SubscriptionRecord(
            space=name,
            subscriber_id=subscriber,
            selection=msgspec.json.decode(selection, type=dict[str, list[str]]),
            policy=msgspec.json.decode(policy, type=dict[str, int | float | str]),
            paused=paused,
            created_at=created_at,
            positions=tuple(positions),
        )
        for name, subscriber, selection, policy, paused, created_at, positions in (
            await connection.fetch(_SUBSCRIPTIONS, space, subscriber_id)
        )
    ]


async def create_subscription(
    connection: Connection, catalogue: Catalogue, record: SubscriptionRecord
) -> None:
    """Create a subscription with its positions. Raises Conflict when it exists."""
    await _fix_swimlanes(connection, catalogue, record)
    if await connection.fetchval(_CREATE_SUBSCRIPTION, *_whole(record)) is None:
        raise Conflict(
            f"subscription {record.subscriber_id!r} exists already in space {record.space!r}"
        )


async def store_subscription(
    connection: Connection, catalogue: Catalogue, record: SubscriptionRecord
) -> None:
    """Create or replace a subscription with its positions; its space's swimlanes are fixed."""
    await _fix_swimlanes(connection, catalogue, record)
    await connection.execute(_STORE_SUBSCRIPTION, *_whole(record))


async def change_subscription(connection: Connection, record: SubscriptionRecord) -> None:
    """Store what may change of a subscription that exists; its positions stay as they are."""
    await connection.execute(_CHANGE_SUBSCRIPTION, *_whole(record)[:5])


def _whole(record: SubscriptionRecord) -> tuple[object, ...]:
    return (
        record.space,
        record.subscriber_id,
        msgspec.json.encode(record.selection).decode(),
        msgspec.json.encode(record.policy).decode(),
        record.paused,
        record.created_at,
        list(record.positions),
    )


async def _fix_swimlanes(
    connection: Connection, catalogue: Catalogue, record: SubscriptionRecord
) -> None:
    await catalogue.register_space(connection, record.space)
    swimlanes = catalogue.swimlanes(record.space)
    if len(record.positions) != swimlanes:
        # Another server has just begun this space, with another number of swimlanes.
        raise ServiceUnavailable(
            f"space {record.space!r} has {swimlanes} swimlanes, and not {len(record.positions)}: "
            "nothing was written, try again"
        )


async def delete_subscription(connection: Connection, space: str, subscriber_id: str) -> None:
    """Delete a subscription and what belongs to it."""
    await connection.execute(_DELETE_SUBSCRIPTION, space, subscriber_id)


async def store_positions(
    connection: Connection, positions: Sequence[SwimlanePosition], holder: int
) -> None:
    """Store positions; those of unknown subscriptions, or leases not held, are passed over."""
    await connection.execute(
        _STORE_POSITIONS,
        [each.space for each in positions],
        [each.subscriber_id for each in positions],
        [each.swimlane for each in positions],
        [each.position for each in positions],
        [each.epoch for each in positions],
        holder,
    )


async def load_dead_letters(
    connection: Connection, space: str, subscriber_id: str
) -> list[DeadLetterRecord]:
    """Return a subscription's dead letters, lowest position first."""
    rows = await connection.fetch(_DEAD_LETTERS, space, subscriber_id)
    records = []
    for row in rows:
        *known, reason, parked_at = row
        records.append(DeadLetterRecord(*[*known, reason.decode(), parked_at]))
    return records


async def count_dead_letters(connection: Connection) -> dict[tuple[str, str], int]:
    """Count dead letters by (space, subscriber id)."""
    rows = await connection.fetch(_COUNT_DEAD_LETTERS)
    return {(space, subscriber_id): number for space, subscriber_id, number in rows}


async def store_dead_letter(
    connection: Connection, record: DeadLetterRecord, epoch: int | None, holder: int
) -> None:
    """Park an event; nothing happens when its subscription, or the lease, is gone."""
    await connection.execute(
        _STORE_DEAD_LETTER,
        record.space,
        record.subscriber_id,
        record.position,
        record.swimlane,
        record.event_id,
        record.entity_type,
        record.entity_id,
        record.event_type,
        record.attempts,
        record.reason.encode("utf-8", "replace"),
        record.parked_at,
        epoch,
        holder,
    )


async def delete_dead_letter(
    connection: Connection, space: str, subscriber_id: str, position: int
) -> None:
    """Forget a dead letter."""
    await connection.execute(_DELETE_DEAD_LETTER, space, subscriber_id, position)
