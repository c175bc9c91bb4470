"""What is stored of subscriptions: the record, a position per swimlane, dead letters.

Everything here may be done twice to the same effect.
"""

from collections.abc import Sequence

import msgspec

from eventuary.engines.engine import DeadLetterRecord, SubscriptionRecord, SwimlanePosition
from eventuary.engines.postgres.catalogue import Catalogue
from eventuary.engines.postgres.database import Connection
from eventuary.errors import ServiceUnavailable

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

_STORE_SUBSCRIPTION = """
WITH stored AS (
    INSERT INTO subscriptions (space, subscriber_id, selection, policy, paused, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (space, subscriber_id) DO UPDATE SET
        selection = excluded.selection, policy = excluded.policy, paused = excluded.paused
    RETURNING subscription_no
)
INSERT INTO swimlane_positions (subscription_no, swimlane, position)
SELECT subscription_no, no - 1, position
FROM stored, unnest($7::bigint[]) WITH ORDINALITY AS p (position, no)
ON CONFLICT (subscription_no, swimlane) DO UPDATE SET position = excluded.position
"""

_DELETE_SUBSCRIPTION = "DELETE FROM subscriptions WHERE space = $1 AND subscriber_id = $2"

_STORE_POSITIONS = """
INSERT INTO swimlane_positions (subscription_no, swimlane, position)
SELECT subscription_no, p.swimlane, p.position
FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[])
    AS p (space, subscriber_id, swimlane, position)
JOIN subscriptions USING (space, subscriber_id)
ORDER BY 1, 2
ON CONFLICT (subscription_no, swimlane) DO UPDATE SET position = excluded.position
"""

_DEAD_LETTERS = """
SELECT space, subscriber_id, swimlane, position, event_id, entity_type, entity_id, event_type,
       attempts, convert_from(reason, 'UTF8'), parked_at
FROM dead_letters JOIN subscriptions USING (subscription_no)
WHERE space = $1 AND subscriber_id = $2 ORDER BY position
"""

_COUNT_DEAD_LETTERS = """
SELECT space, subscriber_id, count(*) FROM dead_letters JOIN subscriptions USING (subscription_no)
GROUP BY space, subscriber_id
"""

_STORE_DEAD_LETTER = """
INSERT INTO dead_letters
SELECT subscription_no, $3, $4, $5, $6, $7, $8, $9, $10, $11
FROM subscriptions WHERE space = $1 AND subscriber_id = $2
ON CONFLICT (subscription_no, position) DO UPDATE SET
    attempts = excluded.attempts, reason = excluded.reason, parked_at = excluded.parked_at
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


async def store_subscription(
    connection: Connection, catalogue: Catalogue, record: SubscriptionRecord
) -> None:
    """Create or replace a subscription with its positions; its space's swimlanes are fixed."""
    await catalogue.register_space(connection, record.space)
    swimlanes = catalogue.swimlanes(record.space)
    if len(record.positions) != swimlanes:
        # Another server has just begun this space, with another number of swimlanes.
        raise ServiceUnavailable(
            f"space {record.space!r} has {swimlanes} swimlanes, and not {len(record.positions)}: "
            "nothing was written, try again"
        )
    await connection.execute(
        _STORE_SUBSCRIPTION,
        record.space,
        record.subscriber_id,
        msgspec.json.encode(record.selection).decode(),
        msgspec.json.encode(record.policy).decode(),
        record.paused,
        record.created_at,
        list(record.positions),
    )


async def delete_subscription(connection: Connection, space: str, subscriber_id: str) -> None:
    """Delete a subscription and what belongs to it."""
    await connection.execute(_DELETE_SUBSCRIPTION, space, subscriber_id)


async def store_positions(connection: Connection, positions: Sequence[SwimlanePosition]) -> None:
    """Store positions; those of unknown subscriptions are passed over."""
    await connection.execute(
        _STORE_POSITIONS,
        [each.space for each in positions],
        [each.subscriber_id for each in positions],
        [each.swimlane for each in positions],
        [each.position for each in positions],
    )


async def load_dead_letters(
    connection: Connection, space: str, subscriber_id: str
) -> list[DeadLetterRecord]:
    """Return a subscription's dead letters, lowest position first."""
    rows = await connection.fetch(_DEAD_LETTERS, space, subscriber_id)
    return [DeadLetterRecord(*row) for row in rows]


async def count_dead_letters(connection: Connection) -> dict[tuple[str, str], int]:
    """Count dead letters by (space, subscriber id)."""
    rows = await connection.fetch(_COUNT_DEAD_LETTERS)
    return {(space, subscriber_id): number for space, subscriber_id, number in rows}


async def store_dead_letter(connection: Connection, record: DeadLetterRecord) -> None:
    """Park an event; nothing happens when its subscription is gone."""
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
    )


async def delete_dead_letter(
    connection: Connection, space: str, subscriber_id: str, position: int
) -> None:
    """Forget a dead letter."""
    await connection.execute(_DELETE_DEAD_LETTER, space, subscriber_id, position)
