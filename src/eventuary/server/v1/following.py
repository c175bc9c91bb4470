"""Waiting for the log to grow, for one client: until it grows, or the client or we must go."""

import asyncio
from types import TracebackType

from starlette.types import Receive

from eventuary.embedded import EmbeddedEventStore
from eventuary.server.principal import Principal
from eventuary.server.v1.sources import Sources

#: Seconds between two looks at whether the server drains, or the key is revoked: these are flags,
#: and nobody is told.
_LOOK_EVERY = 0.5


class Following:
    """An asynchronous context: inside it the client is watched, and so is its key."""

    def __init__(
        self,
        store: EmbeddedEventStore,
        sources: Sources,
        receive: Receive,
        principal: Principal | None,
    ) -> None:
        self._store = store
        self._sources = sources
        self._receive = receive
        self._principal = principal
        self._gone: asyncio.Task[None]

    async def __aenter__(self) -> "Following":
        self._gone = asyncio.create_task(self._wait_until_gone())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._gone.cancel()

    @property
    def over(self) -> bool:
        """Whether there is nobody to follow for.

        The client went away, its key is no longer valid, or the server ends.
        """
        return (
            self._gone.done()
            or self._store.stopping
            or self._sources.draining
            or (self._principal is not None and bool(self._principal.revoked))
        )

    async def wait(self, position: int, partition: int, timeout: float) -> bool:
        """Return when a partition's head is beyond ``position``, after ``timeout`` seconds, or
        when over.

        False: it is over.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        head = asyncio.ensure_future(self._store.head_after(position, partition))
        try:
            while not self.over and (left := end - loop.time()) > 0:
                done, _ = await asyncio.wait(
                    (head, self._gone),
                    timeout=min(left, _LOOK_EVERY),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if done:
                    break
        finally:
            head.cancel()
        return not self.over

    async def _wait_until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
