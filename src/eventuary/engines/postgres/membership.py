"""This server's number: the node half of its event ids, and its right to append.

Numbers are given by the database, one after the other, and never twice, so that ids are unique
whatever clocks do. The row of a number is a lease by the database's clock, renewed while the server
lives. Each group of appends checks in its own transaction that the row is there: a server that was
away for longer than its lease, or whose row was lost in a fail-over, takes another number before it
appends again. No clock of ours decides anything.
"""

import asyncio
import os
import socket
from datetime import timedelta

from eventuary.engines.postgres.continuity import Continuity
from eventuary.engines.postgres.database import Connection
from eventuary.engines.postgres.event_ids import EventIds
from eventuary.engines.postgres.lane import Lane
from eventuary.errors import ServiceUnavailable
from eventuary.ids import ZERO_ID

#: How long a number stays when its server does not renew it, and seconds between renewals.
_LEASE = timedelta(seconds=60)
_RENEW_EVERY = 10.0

_JOIN = "SELECT new_server, last_id, positions FROM join_servers($1, $2, $3, $4, $5, $6)"

_RENEW = "UPDATE servers SET expires = now() + $2 WHERE server_no = $1"

_LEAVE = "DELETE FROM servers WHERE server_no = $1"

_FirstEvents = tuple[list[int], list[str], list[str]]


class Membership:
    """Holds the number, and the ids that are made of it."""

    def __init__(self, lane: Lane, continuity: Continuity) -> None:
        self._lane = lane
        self._continuity = continuity
        self._timeline = 0
        self._name = f"{socket.gethostname()} {os.getpid()}"
        self._task: asyncio.Task[None] | None = None
        self.ids = EventIds(0)

    async def join(
        self, connection: Connection, first_events: _FirstEvents = ([], [], [])
    ) -> list[int | None]:
        """Take a number in place of the one there was.

        Nothing that was sent under the old one can be done after this. Returns the positions of
        the events asked for, as (entity types, entity ids, event ids); None: not in the log.
        """
        timeline = self._continuity.timeline
        number, last_id, positions = await connection.fetchrow(
            _JOIN, self.ids.server_no, self._name, _LEASE, *first_events
        )
        self.ids = EventIds(number, max(last_id or ZERO_ID, self.ids.last))
        self._timeline = timeline
        return list(positions or ())

    async def follow(self, connection: Connection) -> None:
        """Take another number if another server is the primary than when this one was taken.

        That one may know nothing of it, and have given it once more.
        """
        if self._timeline != self._continuity.timeline:
            await self.join(connection)

    def start_renewing(self) -> None:
        """Keep the number from now on."""
        self._task = asyncio.create_task(self._renew())

    async def leave(self) -> None:
        """Give the number up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        number = self.ids.server_no

        async def run(connection: Connection) -> None:
            await connection.execute(_LEAVE, number)

        try:
            await self._lane.run(run)
        except ServiceUnavailable:
            return  # its lease ends by itself

    async def _renew(self) -> None:
        async def run(connection: Connection) -> None:
            await connection.execute(_RENEW, self.ids.server_no, _LEASE)

        while True:
            await asyncio.sleep(_RENEW_EVERY)
            try:
                await self._lane.run(run)
            except ServiceUnavailable:
                continue  # it is renewed later, or the next append takes another number
