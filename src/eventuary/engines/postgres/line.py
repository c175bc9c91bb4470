"""One connection that is replaced when it is lost.

While the database can't be reached, callers are told so at once, and not made to wait: a new
connection is tried at most every second, at first sooner.
"""

import asyncio

import asyncpg

from eventuary.engines.postgres.address import Address
from eventuary.engines.postgres.connecting import connect, disconnect
from eventuary.engines.postgres.continuity import Continuity
from eventuary.engines.postgres.database import LOST, Connection, unavailable
from eventuary.errors import ServiceUnavailable

#: Seconds between two attempts: at first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class Line:
    """Belongs to one task: nobody else uses its connection."""

    def __init__(self, address: Address, continuity: Continuity, *, durable: bool = True) -> None:
        self._address = address
        self._continuity = continuity
        self._durable = durable
        self._connection: Connection | None = None
        self._pause = 0.0
        self._not_before = 0.0
        self._failure: ServiceUnavailable | None = None

    async def connection(self) -> Connection:
        """Return a connection that was alive a moment ago, to the log that was told of.

        Raises ServiceUnavailable, without asking again if the last attempt has just failed.
        """
        if self._continuity.refusal is not None:
            raise ServiceUnavailable(str(self._continuity.refusal))
        connection = self._connection
        if connection is not None and not connection.is_closed():
            return connection
        now = asyncio.get_running_loop().time()
        if self._failure is not None and now < self._not_before:
            raise ServiceUnavailable(str(self._failure))
        try:
            connection = await connect(
                self._address, durable=self._durable, check=self._continuity.check
            )
        except (*LOST, asyncpg.PostgresError, ServiceUnavailable) as error:
            self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._not_before = asyncio.get_running_loop().time() + self._pause
            self._failure = self._continuity.refusal or unavailable(error)
            raise ServiceUnavailable(str(self._failure)) from error
        self._pause = 0.0
        self._failure = None
        self._connection = connection
        return connection

    async def wait_for_connection(self) -> Connection:
        """Return a connection, however long the database can't be reached.

        Raises ServiceUnavailable when the log is refused for good.
        """
        while True:
            try:
                return await self.connection()
            except ServiceUnavailable:
                if self._continuity.refusal is not None:
                    raise
                pause = self._not_before - asyncio.get_running_loop().time()
                await asyncio.sleep(max(0.0, pause))

    def drop(self) -> None:
        """Let go of a connection that is lost, or not to be trusted."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """End the connection properly."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await disconnect(connection)
