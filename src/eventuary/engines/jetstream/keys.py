"""Stored API keys. A key store is called from threads that may wait: it asks the engine's loop.

Before the engine's start, and after its end, it opens a connection for the call alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from eventuary.engines.engine import KeyRecord
from eventuary.engines.jetstream.address import Address
from eventuary.engines.jetstream.api import Message
from eventuary.engines.jetstream.cells import Cells, Change, Moved
from eventuary.engines.jetstream.migrated import check_is_finished
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.wire import Wire
from eventuary.errors import ConfigurationError, Conflict, NotFound, ServiceUnavailable

_Result = TypeVar("_Result")

KIND = "key"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(KeyRecord).decode


class JetStreamKeyStore:
    """A cell for each key. Not to be called from the engine's loop: it would wait for itself."""

    def __init__(self, address: Address, subjects: Subjects) -> None:
        self._address = address
        self._subjects = subjects
        self._engine: tuple[asyncio.AbstractEventLoop, Cells] | None = None

    def use(self, cells: Cells | None) -> None:
        """From now on use the engine's connection; None: no more."""
        self._engine = None if cells is None else (asyncio.get_running_loop(), cells)

    def list_keys(self) -> list[KeyRecord]:
        """Return all keys, oldest first."""

        async def run(cells: Cells) -> list[KeyRecord]:
            return keys_of(await cells.look([f"{self._subjects.cell(KIND)}.>"]))

        return self._run(run)

    def add_key(self, key: KeyRecord) -> None:
        """Store a key. Raises Conflict when its id is taken."""

        async def run(cells: Cells) -> None:
            try:
                await cells.put(new_key(self._subjects, key))
            except Moved:
                raise Conflict(f"key {key.key_id!r} exists already; revoke it first") from None

        self._run(run)

    def revoke_key(self, key_id: str) -> None:
        """Delete a key. Raises NotFound when there is none of this id."""

        async def run(cells: Cells) -> None:
            subject = self._subjects.cell(KIND, key_id)
            if await cells.get(subject) is None:
                raise NotFound(f"there is no key {key_id!r}")
            await cells.forget(subject)

        self._run(run)

    def _run(self, job: Callable[[Cells], Awaitable[_Result]]) -> _Result:
        engine = self._engine
        if engine is None:
            return asyncio.run(self._alone(job))
        loop, cells = engine

        async def run() -> _Result:
            return await job(cells)

        return asyncio.run_coroutine_threadsafe(run(), loop).result()

    async def _alone(self, job: Callable[[Cells], Awaitable[_Result]]) -> _Result:
        wire = Wire(self._address)
        try:
            await wire.open()
        except ConfigurationError as error:
            raise ServiceUnavailable(str(error)) from error
        try:
            cells = Cells(wire, self._subjects)
            await cells.prepare()
            await cells.catch_up()  # a key that was just stored, over another connection, is listed
            await check_is_finished(cells, self._subjects, self._address.shown)
            return await job(cells)
        finally:
            await wire.close()


def keys_of(cells: Mapping[str, Message]) -> list[KeyRecord]:
    """Return the keys that these cells hold, oldest first."""
    keys = [_decode(each.data) for each in cells.values()]
    return sorted(keys, key=lambda key: (key.created_at, key.key_id))


def new_key(subjects: Subjects, key: KeyRecord) -> Change:
    """Return the change that stores a key, unless its id is taken."""
    return Change(subjects.cell(KIND, key.key_id), _encode(key), 0)
