"""What is stored of subscriptions: the record, a position per swimlane, dead letters.

Reads take a reader's connection; writes are statements that the writer runs in its transactions.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from eventuary.engines.engine import DeadLetterRecord, SubscriptionRecord, SwimlanePosition
from eventuary.errors import Conflict

_SUBSCRIPTIONS = """
SELECT space, subscriber_id, selection, policy, paused, created_at, (
    SELECT json_group_array(position) FROM (
        SELECT position FROM swimlane_positions
        WHERE swimlane_positions.subscription_no = subscriptions.subscription_no
        ORDER BY swimlane
    )
)
FROM subscriptions
WHERE (?1 IS NULL OR space = ?1) AND (?2 IS NULL OR subscriber_id = ?2)
ORDER BY space, subscriber_id
"""

_STORE_SUBSCRIPTION = """
INSERT INTO subscriptions (space, subscriber_id, selection, policy, paused, created_at)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (space, subscriber_id) DO UPDATE SET
    selection = excluded.selection, policy = excluded.policy, paused = excluded.paused
"""

_CHANGE_SUBSCRIPTION = """
UPDATE subscriptions SET selection = ?3, policy = ?4, paused = ?5
WHERE space = ?1 AND subscriber_id = ?2
"""

_SUBSCRIPTION_NO = "SELECT subscription_no FROM subscriptions WHERE space = ? AND subscriber_id = ?"

_STORE_POSITION = """
INSERT INTO swimlane_positions (subscription_no, swimlane, position)
SELECT subscription_no, ?3, ?4 FROM subscriptions WHERE space = ?1 AND subscriber_id = ?2
ON CONFLICT (subscription_no, swimlane) DO UPDATE SET position = excluded.position
"""

_DEAD_LETTERS = """
SELECT space, subscriber_id, swimlane, position, event_id, entity_type, entity_id, event_type,
       attempts, reason, parked_at
FROM dead_letters JOIN subscriptions USING (subscription_no)
WHERE space = ? AND subscriber_id = ? ORDER BY position
"""

_COUNT_DEAD_LETTERS = """
SELECT space, subscriber_id, count(*) FROM dead_letters JOIN subscriptions USING (subscription_no)
GROUP BY subscription_no
"""

_STORE_DEAD_LETTER = """
INSERT OR REPLACE INTO dead_letters
SELECT subscription_no, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
FROM subscriptions WHERE space = ?1 AND subscriber_id = ?2
"""

_DELETE_DEAD_LETTER = """
DELETE FROM dead_letters WHERE position = ?3 AND subscription_no = (
    SELECT subscription_no FROM subscriptions WHERE space = ?1 AND subscriber_id = ?2
)
"""


def load_subscriptions(
    connection: sqlite3.Connection, space: str | None, subscriber_id: str | None
) -> list[SubscriptionRecord]:
    """Return the stored subscriptions that match; None matches all."""
    return [
        SubscriptionRecord(
            space=name,
            subscriber_id=subscriber,
            selection=msgspec.json.decode(selection, type=dict[str, list[str]]),
            policy=msgspec.json.decode(policy, type=dict[str, int | float | str]),
            paused=bool(paused),
            created_at=created_at,
            positions=msgspec.json.decode(positions, type=tuple[int, ...]),
        )
        for name, subscriber, selection, policy, paused, created_at, positions in (
            connection.execute(_SUBSCRIPTIONS, (space, subscriber_id)).fetchall()
        )
    ]


def store_subscription(connection: sqlite3.Connection, record: SubscriptionRecord) -> None:
    """Create or replace a subscription with its positions."""
    connection.execute(
        _STORE_SUBSCRIPTION,
        (
            record.space,
            record.subscriber_id,
            msgspec.json.encode(record.selection).decode(),
            msgspec.json.encode(record.policy).decode(),
            record.paused,
            record.created_at,
        ),
    )
    connection.executemany(
        _STORE_POSITION,
        [
            (record.space, record.subscriber_id, swimlane, position)
            for swimlane, position in enumerate(record.positions)
        ],
    )


def check_is_new(connection: sqlite3.Connection, space: str, subscriber_id: str) -> None:
    """Raise Conflict when there is a subscription of this name."""
    if connection.execute(_SUBSCRIPTION_NO, (space, subscriber_id)).fetchone():
        raise Conflict(f"subscription {subscriber_id!r} exists already in space {space!r}")


def change_subscription(connection: sqlite3.Connection, record: SubscriptionRecord) -> None:
    """Store what may change of a subscription that exists; its positions stay as they are."""
    connection.execute(
        _CHANGE_SUBSCRIPTION,
        (
            record.space,
            record.subscriber_id,
            msgspec.json.encode(record.selection).decode(),
            msgspec.json.encode(record.policy).decode(),
            record.paused,
        ),
    )


def delete_subscription(connection: sqlite3.Connection, space: str, subscriber_id: str) -> None:
    """Delete a subscription and what belongs to it."""
    found = connection.execute(_SUBSCRIPTION_NO, (space, subscriber_id)).fetchone()
    if found is not None:
        connection.execute("DELETE FROM dead_letters WHERE subscription_no = ?", found)
        connection.execute("DELETE FROM swimlane_positions WHERE subscription_no = ?", found)
        connection.execute("DELETE FROM subscriptions WHERE subscription_no = ?", found)


def store_positions(connection: sqlite3.Connection, positions: Sequence[SwimlanePosition]) -> None:
    """Store positions; those of unknown subscriptions are passed over."""
    connection.executemany(
        _STORE_POSITION,
        [(at.space, at.subscriber_id, at.swimlane, at.position) for at in positions],
    )


def load_dead_letters(
    connection: sqlite3.Connection, space: str, subscriber_id: str
) -> list[DeadLetterRecord]:
    """Return a subscription's dead letters, lowest position first."""
    rows = connection.execute(_DEAD_LETTERS, (space, subscriber_id)).fetchall()
    return [DeadLetterRecord(*row) for row in rows]


def count_dead_letters(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """Count dead letters by (space, subscriber id)."""
    rows = connection.execute(_COUNT_DEAD_LETTERS).fetchall()
    return {(space, subscriber_id): number for space, subscriber_id, number in rows}


def store_dead_letter(connection: sqlite3.Connection, record: DeadLetterRecord) -> None:
    """Park an event; nothing happens when its subscription is gone."""
    connection.execute(
        _STORE_DEAD_LETTER,
        (
            record.space,
            record.subscriber_id,
            record.position,
            record.swimlane,
            record.event_id,
            record.entity_type,
            record.entity_id,
            record.event_type,
            record.attempts,
            record.reason,
            record.parked_at,
        ),
    )


def delete_dead_letter(
    connection: sqlite3.Connection, space: str, subscriber_id: str, position: int
) -> None:
    """Forget a dead letter."""
    connection.execute(_DELETE_DEAD_LETTER, (space, subscriber_id, position))
