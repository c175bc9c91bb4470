"""Stored API keys. A key store is called from threads that may wait: it asks the engine's loop.

Before the engine's start, and after its end, it opens a connection for the call alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import msgspec

from eventuary.engines.engine import KeyRecord
from eventuary.engines.postgres.address import Address
from eventuary.engines.postgres.connecting import connect, disconnect
from eventuary.engines.postgres.database import LOST, Connection, unavailable
from eventuary.engines.postgres.lane import Lane
from eventuary.errors import Conflict, NotFound

_Result = TypeVar("_Result")

_LIST = """
SELECT key_id, secret_hash, spaces, read_only, created_at FROM api_keys
ORDER BY created_at, key_id
"""

_ADD = """
INSERT INTO api_keys (key_id, secret_hash, spaces, read_only, created_at)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key_id) DO NOTHING RETURNING key_id
"""

_REVOKE = "DELETE FROM api_keys WHERE key_id = $1 RETURNING key_id"


class PostgresKeyStore:
    """The table ``api_keys``. Not to be called from the engine's loop: it would wait for itself."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._engine: tuple[asyncio.AbstractEventLoop, Lane] | None = None

    def use(self, lane: Lane | None) -> None:
        """From now on use the engine's connections; None: no more."""
        self._engine = None if lane is None else (asyncio.get_running_loop(), lane)

    def list_keys(self) -> list[KeyRecord]:
        """Return all keys, oldest first."""

        return self._run(read_keys)

    def add_key(self, key: KeyRecord) -> None:
        """Store a key. Raises Conflict when its id is taken."""

        async def run(connection: Connection) -> None:
            if not await insert_key(connection, key):
                raise Conflict(f"key {key.key_id!r} exists already; revoke it first")

        self._run(run)

    def revoke_key(self, key_id: str) -> None:
        """Delete a key. Raises NotFound when there is none of this id."""

        async def run(connection: Connection) -> None:
            if await connection.fetchval(_REVOKE, key_id) is None:
                raise NotFound(f"there is no key {key_id!r}")

        self._run(run)

    def _run(self, job: Callable[[Connection], Awaitable[_Result]]) -> _Result:
        engine = self._engine
        if engine is None:
            return asyncio.run(self._alone(job))
        loop, lane = engine

        async def run() -> _Result:
            return await lane.run(job)

        return asyncio.run_coroutine_threadsafe(run(), loop).result()

    async def _alone(self, job: Callable[[Connection], Awaitable[_Result]]) -> _Result:
        try:
            connection = await connect(self._address)
            try:
                return await job(connection)
            finally:
                await disconnect(connection)
        except (*LOST, asyncpg.PostgresError) as error:
            raise unavailable(error) from error


async def read_keys(connection: Connection) -> list[KeyRecord]:
    """Return all keys, oldest first."""
    return [
        KeyRecord(
            key_id,
            secret_hash,
            msgspec.json.decode(spaces, type=tuple[str, ...]),
            read_only,
            created_at,
        )
        for key_id, secret_hash, spaces, read_only, created_at in await connection.fetch(_LIST)
    ]


async def insert_key(connection: Connection, key: KeyRecord) -> bool:
    """Write a key, unless its id is taken; returns whether it was written."""
    added = await connection.fetchval(
        _ADD,
        key.key_id,
        key.secret_hash,
        msgspec.json.encode(key.spaces).decode(),
        key.read_only,
        key.created_at,
    )
    return added is not None
