"""Telling other servers that the head has moved: NOTIFY, apart from the appends and coalesced.

At its commit NOTIFY takes a lock on the whole database, so that notifications follow each other one
by one. An append would hold that lock while it waits for the disk. So it is sent afterwards, on
another connection, in a transaction that waits for nothing: one at a time, with the newest head,
and not more often than readers would feel. One that gets lost is made good by the others' polls.
"""

import asyncio

import asyncpg

from eventuary.engines.postgres.address import Address
from eventuary.engines.postgres.continuity import Continuity
from eventuary.engines.postgres.database import LOST, is_lost
from eventuary.engines.postgres.line import Line
from eventuary.errors import ServiceUnavailable

#: Seconds between two notifications.
_SPACING = 0.005

#: Seconds until one without an answer has lost its connection.
_TIMEOUT = 5.0

_NOTIFY = "SELECT pg_notify($1, $2)"


class Notifier:
    """Sends the newest head to ``channel``."""

    def __init__(self, address: Address, continuity: Continuity, channel: str) -> None:
        self._line = Line(address, continuity, durable=False)
        self._channel = channel
        self._head = 0
        self._sent = 0
        self._task: asyncio.Task[None] | None = None

    def tell(self, head: int) -> None:
        """Tell others of this head, or of a newer one, before long."""
        self._head = max(self._head, head)
        if self._task is None:
            self._task = asyncio.create_task(self._send())

    async def stop(self) -> None:
        """Send what is to be sent, and close the connection."""
        if self._task is not None:
            await asyncio.wait([self._task])
        await self._line.close()

    async def _send(self) -> None:
        try:
            while self._sent < self._head:
                self._sent = self._head
                try:
                    connection = await self._line.connection()
                except ServiceUnavailable:
                    return
                try:
                    async with asyncio.timeout(_TIMEOUT):
                        await connection.execute(_NOTIFY, self._channel, str(self._sent))
                except (*LOST, asyncpg.PostgresError) as error:
                    if is_lost(error, connection):
                        self._line.drop()
                    return
                await asyncio.sleep(_SPACING)
        finally:
            self._task = None
