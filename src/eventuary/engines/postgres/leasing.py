"""Swimlanes shared by servers: who delivers which, as rows that all of them change with care.

A server renews one row of ``deliverers``, whatever it holds. Only a server whose row has ended can
be buried: its row is deleted by any other that looks. Who finds its row there has not been buried,
and can't be before the end that it has just written; who does not takes another number, and holds
nothing. So nobody has to compare clocks, or to lock what it reads.

A swimlane changes hands by an update that names the epoch it was seen at, so that of several who
want it one gets it. Each change of hands raises the epoch; positions and dead letters are stored
only under the present one (``subscriptions``): a server that was away, and does not know yet what
it has lost, changes nothing of it.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from eventuary.engines.engine import Lease, SharedSubscription, SubscriptionRecord
from eventuary.engines.postgres.database import Connection
from eventuary.engines.postgres.lane import Lane

#: Seconds for which a renewal holds. A killed server's swimlanes are free after so long.
LEASE_SECONDS = 3.0

_BURY = "DELETE FROM deliverers WHERE expires < now()"

_RENEW = "UPDATE deliverers SET expires = now() + $2 WHERE deliverer_no = $1 RETURNING deliverer_no"

_JOIN = """
INSERT INTO deliverers (deliverer_no, expires, name)
VALUES (nextval('server_numbers'), now() + $1, $2) RETURNING deliverer_no
"""

_LEAVE = "DELETE FROM deliverers WHERE deliverer_no = $1"

# Swimlanes of buried holders show as free.
_LOOK = """
SELECT
    w.no, s.subscription_no, s.revision, s.space, s.subscriber_id, s.selection, s.policy, s.paused,
    s.created_at,
    ARRAY(
        SELECT ROW (p.swimlane, p.epoch, d.deliverer_no, p.position)
        FROM swimlane_positions p LEFT JOIN deliverers d ON d.deliverer_no = p.holder
        WHERE p.subscription_no = s.subscription_no ORDER BY p.swimlane
    ),
    ARRAY(
        SELECT ROW (c.deliverer_no, c.consumers) FROM consumers c
        WHERE c.subscription_no = s.subscription_no
    ),
    ARRAY(
        SELECT ROW (l.position, l.wish) FROM dead_letters l
        WHERE l.subscription_no = s.subscription_no AND l.wish IS NOT NULL
    )
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (space, subscriber_id, no)
JOIN subscriptions s ON s.space = w.space AND s.subscriber_id = w.subscriber_id
"""

_WANT = """
INSERT INTO consumers (subscription_no, deliverer_no, consumers)
SELECT s.subscription_no, d.deliverer_no, $4 FROM subscriptions s, deliverers d
WHERE s.space = $1 AND s.subscriber_id = $2 AND d.deliverer_no = $3
ON CONFLICT (subscription_no, deliverer_no) DO UPDATE SET consumers = excluded.consumers
"""

_WANT_NOTHING = """
WITH of AS (SELECT subscription_no FROM subscriptions WHERE space = $1 AND subscriber_id = $2),
gone AS (
    DELETE FROM consumers c USING of
    WHERE c.subscription_no = of.subscription_no AND c.deliverer_no = $3
)
UPDATE swimlane_positions p SET holder = NULL FROM of
WHERE p.subscription_no = of.subscription_no AND p.holder = $3
"""

_TAKE = """
UPDATE swimlane_positions p SET holder = $3, epoch = p.epoch + 1
FROM subscriptions s, unnest($4::integer[], $5::bigint[]) AS seen (swimlane, epoch)
WHERE s.space = $1 AND s.subscriber_id = $2 AND p.subscription_no = s.subscription_no
AND p.swimlane = seen.swimlane AND p.epoch = seen.epoch
AND NOT EXISTS (
    SELECT FROM deliverers d WHERE d.deliverer_no = p.holder AND d.deliverer_no <> $3
)
AND EXISTS (SELECT FROM deliverers d WHERE d.deliverer_no = $3)
RETURNING p.swimlane, p.epoch, p.holder, p.position
"""

_GIVE_UP = """
UPDATE swimlane_positions p SET holder = NULL
FROM subscriptions s, unnest($4::integer[], $5::bigint[]) AS mine (swimlane, epoch)
WHERE s.space = $1 AND s.subscriber_id = $2 AND p.subscription_no = s.subscription_no
AND p.swimlane = mine.swimlane AND p.epoch = mine.epoch AND p.holder = $3
"""

_WISH = """
UPDATE dead_letters l SET wish = $4 FROM subscriptions s
WHERE s.space = $1 AND s.subscriber_id = $2 AND l.subscription_no = s.subscription_no
AND l.position = $3
"""


class PostgresLeasing:
    """Satisfies ``Leasing``. Its lane is its own: a renewal must not wait behind other work."""

    lease_seconds = LEASE_SECONDS

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._name = f"{socket.gethostname()} {os.getpid()}"
        #: This server's number as a deliverer; 0: none yet.
        self.number = 0

    def renew(self) -> asyncio.Future[int]:
        """Bury those whose rows have ended, and renew this server's."""
        lease = timedelta(seconds=self.lease_seconds)

        async def run(connection: Connection) -> int:
            number = await connection.fetchval(_RENEW, self.number, lease)
            if number is None:
                number = await connection.fetchval(_JOIN, lease, self._name)
            await connection.execute(_BURY)
            self.number = int(number)
            return self.number

        return self._lane.run(run)

    def look(
        self, names: Sequence[tuple[str, str]]
    ) -> asyncio.Future[list[SharedSubscription | None]]:
        """Look at subscriptions."""

        async def run(connection: Connection) -> list[SharedSubscription | None]:
            found: list[SharedSubscription | None] = [None] * len(names)
            rows = await connection.fetch(
                _LOOK, [space for space, _ in names], [subscriber for _, subscriber in names]
            )
            for no, number, revision, *record, leases, consumers, wishes in rows:
                space, subscriber_id, selection, policy, paused, created_at = record
                found[no - 1] = SharedSubscription(
                    number,
                    revision,
                    SubscriptionRecord(
                        space,
                        subscriber_id,
                        msgspec.json.decode(selection, type=dict[str, list[str]]),
                        tuple(position for _, _, _, position in leases),
                        msgspec.json.decode(policy, type=dict[str, int | float | str]),
                        paused,
                        created_at,
                    ),
                    [Lease(*lease) for lease in leases],
                    dict(consumers),
                    dict(wishes),
                )
            return found

        return self._lane.run(run)

    def want(self, space: str, subscriber_id: str, consumers: int) -> asyncio.Future[None]:
        """Say how many consumers this server has."""

        async def run(connection: Connection) -> None:
            if consumers:
                await connection.execute(_WANT, space, subscriber_id, self.number, consumers)
            else:
                await connection.execute(_WANT_NOTHING, space, subscriber_id, self.number)

        return self._lane.run(run)

    def take(
        self, space: str, subscriber_id: str, seen: Sequence[Lease]
    ) -> asyncio.Future[list[Lease]]:
        """Take leases as they were seen."""

        async def run(connection: Connection) -> list[Lease]:
            rows = await connection.fetch(
                _TAKE,
                space,
                subscriber_id,
                self.number,
                [each.swimlane for each in seen],
                [each.epoch for each in seen],
            )
            return [Lease(*row) for row in rows]

        return self._lane.run(run)

    def give_up(
        self, space: str, subscriber_id: str, leases: Sequence[Lease]
    ) -> asyncio.Future[None]:
        """Let others take these leases."""

        async def run(connection: Connection) -> None:
            await connection.execute(
                _GIVE_UP,
                space,
                subscriber_id,
                self.number,
                [each.swimlane for each in leases],
                [each.epoch for each in leases],
            )

        return self._lane.run(run)

    def wish(
        self, space: str, subscriber_id: str, position: int, wish: str | None
    ) -> asyncio.Future[None]:
        """Note what is to be done with a dead letter."""

        async def run(connection: Connection) -> None:
            await connection.execute(_WISH, space, subscriber_id, position, wish)

        return self._lane.run(run)

    def leave(self) -> asyncio.Future[None]:
        """Delete this server's row: what it holds is free."""

        async def run(connection: Connection) -> None:
            await connection.execute(_LEAVE, self.number)

        return self._lane.run(run)
