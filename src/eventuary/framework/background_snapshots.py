"""Taking snapshots beside everything else: whoever updates an aggregate does not wait for it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from eventuary.errors import EventuaryError
from eventuary.event_store import EventStore
from eventuary.framework.aggregate import Aggregate
from eventuary.framework.encryption import EntityCipher
from eventuary.framework.snapshots import StateCodec

_log = logging.getLogger("eventuary.repository")

_A = TypeVar("_A", bound=Aggregate)


class BackgroundSnapshots(Generic[_A]):
    """The snapshots of one repository that are being stored."""

    def __init__(
        self, store: EventStore, space: str, entity_type: str, states: StateCodec[_A]
    ) -> None:
        self._store = store
        self._space = space
        self._entity_type = entity_type
        self._states = states
        self._tasks: set[asyncio.Task[None]] = set()

    def take(
        self,
        entity_id: str,
        cipher: EntityCipher | None,
        load: Callable[[str, EntityCipher | None], Awaitable[_A]],
    ) -> None:
        """Begin to store the state that ``load`` returns."""
        task = asyncio.get_running_loop().create_task(self._take(entity_id, cipher, load))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Return when all that were begun are stored."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _take(
        self,
        entity_id: str,
        cipher: EntityCipher | None,
        load: Callable[[str, EntityCipher | None], Awaitable[_A]],
    ) -> None:
        """Store the state. What goes wrong is logged: the events are there all the same."""
        try:
            aggregate = await load(entity_id, cipher)
            version = aggregate.version
            snapshot = self._states.encode(aggregate)
            if cipher is not None:
                snapshot = cipher.encrypt_snapshot(version, snapshot)
            await self._store.store_snapshot(
                self._space, self._entity_type, entity_id, version, snapshot
            )
        except (EventuaryError, TypeError) as error:
            _log.warning("no snapshot of %s %r: %s", self._entity_type, entity_id, error)
