"""Health, for whoever starts and stops servers: alive, and ready."""

import asyncio
from typing import Literal

import msgspec
from starlette.responses import Response

from eventuary.embedded import EmbeddedEventStore
from eventuary.errors import ServiceUnavailable
from eventuary.limits import Limits
from eventuary.server.v1.answers import json_answer
from eventuary.server.v1.call import Call
from eventuary.server.v1.operation import Access, Operation, Sample
from eventuary.server.v1.sources import Sources

#: Seconds that the engine may take to say that it takes writes.
_PATIENCE = 2.0


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(msgspec.Struct, frozen=True):
    """The server takes appends."""

    status: Literal["ready"] = "ready"


class HealthRoutes:
    """What is under ``/health``."""

    def __init__(self, store: EmbeddedEventStore, sources: Sources, limits: Limits) -> None:
        self._store = store
        self._sources = sources
        self._limits = limits

    async def live(self, call: Call) -> Response:
        """Answer that we can answer."""
        del call  # it names nothing
        return json_answer(Live())

    async def ready(self, call: Call) -> Response:
        """Answer whether an append would be taken now."""
        del call  # it names nothing
        store = self._store
        if store.stopping or self._sources.draining:
            raise ServiceUnavailable("the server is shutting down")
        if store.waiting_appends >= self._limits.waiting_appends:
            raise ServiceUnavailable(
                f"overload: {store.waiting_appends} appends wait for the disk, the limit "
                "waiting_appends"
            )
        try:
            await asyncio.wait_for(store.engine.probe(), _PATIENCE)
        except TimeoutError:
            raise ServiceUnavailable(
                f"the storage has not taken a write for {_PATIENCE:g} seconds"
            ) from None
        return json_answer(Ready())

    def operations(self) -> list[Operation]:
        """Return what this file answers."""
        tag = "Health"
        return [
            Operation(
                method="GET",
                path="/health/live",
                name="live",
                tag=tag,
                summary="Does the process answer?",
                access=Access.OPEN,
                handle=self.live,
                answer=Live,
                sample=Sample(answer={"status": "live"}),
            ),
            Operation(
                method="GET",
                path="/health/ready",
                name="ready",
                tag=tag,
                summary="Does the server take appends?",
                description=(
                    "503 while it is shutting down, when as many appends wait for the disk as "
                    "may, and when the storage takes no writes."
                ),
                access=Access.OPEN,
                handle=self.ready,
                answer=Ready,
                sample=Sample(answer={"status": "ready"}),
            ),
        ]
