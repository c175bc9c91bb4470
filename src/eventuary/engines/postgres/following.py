"""Noticing that other servers have moved the head: LISTEN, and a poll every second beside it.

The poll also tells whether the connection is alive: one that gives no answer is replaced. It must
be a connection of its own to the database itself: behind a pooler that shares connections between
transactions nothing is heard, and only the poll is left.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import asyncpg

from eventuary.engines.postgres.address import Address
from eventuary.engines.postgres.continuity import Continuity
from eventuary.engines.postgres.database import LOST, Connection, describe
from eventuary.engines.postgres.line import Line
from eventuary.errors import ServiceUnavailable
from eventuary.seldom import Seldom

_log = logging.getLogger("eventuary.postgres")

#: Seconds between two polls, and until one without an answer has lost its connection.
_POLL_EVERY = 1.0
_POLL_TIMEOUT = 5.0

_HEAD = "SELECT coalesce(max(position), 0) FROM events"

_CHANNEL = "SELECT 'eventuary_' || 'events'::regclass::oid"


async def channel_of(connection: Connection) -> str:
    """Return the name of the channel on which the servers of this schema tell each other."""
    name: str = await connection.fetchval(_CHANNEL)
    return name


async def head_of(connection: Connection) -> int:
    """Return the position of the newest event."""
    head: int = await connection.fetchval(_HEAD)
    return head


class Follower:
    """Calls ``hint`` with heads as they become known."""

    def __init__(
        self,
        address: Address,
        continuity: Continuity,
        channel: str,
        hint: Callable[[int], None],
    ) -> None:
        self._line = Line(address, continuity)
        self._channel = channel
        self._hint = hint
        self._complaints = Seldom()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._line.close()

    async def _follow(self) -> None:
        while True:
            try:
                connection = await self._line.wait_for_connection()
            except ServiceUnavailable:
                return  # the log is refused for good
            try:
                await self._listen(connection)
            except (*LOST, asyncpg.PostgresError) as error:
                more = self._complaints.due()
                if more is not None:
                    _log.warning("the listening connection was lost: %s%s", describe(error), more)
            except Exception:  # noqa: BLE001 - following must go on
                _log.exception("following the log failed unexpectedly")
            self._line.drop()
            await asyncio.sleep(0.05)

    async def _listen(self, connection: Connection) -> None:
        """Listen and poll until the connection breaks: raises what broke it."""
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        async with asyncio.timeout(_POLL_TIMEOUT):
            await connection.add_listener(self._channel, self._heard)
        while True:
            async with asyncio.timeout(_POLL_TIMEOUT):
                self._hint(await head_of(connection))
            # Not by asyncio.wait_for: before Python 3.12 that can swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_EVERY):
                    await gone.wait()

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._hint(int(str(payload)))
