"""The log of a space as server-sent events (WHATWG HTML, section 9.2).

One page is in memory for each client, and the next is read when the client has taken it. The id of
an event is its position; heartbeats carry it too, without data, so that a client whose filter
passes little comes back with ``Last-Event-ID`` near the head.
"""

import asyncio
import re

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import LogPage
from eventuary.errors import BadRequest, EventuaryError, NotFound
from eventuary.server.principal import Principal
from eventuary.server.v1.call import Call
from eventuary.server.v1.following import Following
from eventuary.server.v1.log_query import MOST_POSITION, LogFilter, StreamQuery, logged
from eventuary.server.v1.operation import Access, Operation, Sample
from eventuary.server.v1.sources import Sources

#: Seconds without an event after which a heartbeat is sent.
HEARTBEAT = 15.0

#: Events, and bytes of their data, that are read at a time.
_PAGE_EVENTS = 500
_PAGE_BYTES = 256 * 1024

_LAST_EVENT_ID = "last-event-id"
_NUMBER = re.compile(r"[0-9]{1,19}")

_encode = msgspec.json.Encoder().encode


class LogStreamRoutes:
    """``GET /v1/spaces/{space}/log/stream``."""

    def __init__(self, store: EmbeddedEventStore, sources: Sources, heartbeat: float) -> None:
        self._store = store
        self._sources = sources
        self._heartbeat = heartbeat

    async def follow(self, call: Call) -> Response:
        """Begin a stream."""
        query = call.query(StreamQuery)
        heads = self._store.engine.heads
        wanted = LogFilter(call.space, query, len(heads))
        after = _last_event_id(call)
        if after is None:
            after = heads[wanted.partition] if isinstance(query.after, str) else query.after
        return _EventStream(
            self._store,
            self._sources,
            wanted,
            after,
            self._heartbeat,
            call.principal,
        )

    def operations(self) -> list[Operation]:
        """Return what this file answers."""
        return [
            Operation(
                method="GET",
                path="/v1/spaces/{space}/log/stream",
                name="followLog",
                tag="Log",
                summary="Follow the log as server-sent events",
                description=(
                    "Past events, and then those that occur, for as long as the client stays. "
                    "`data` is an event as in a page of the log, `id` its position: a client that "
                    "comes back with `Last-Event-ID`, as browsers do by themselves, misses "
                    "nothing. A heartbeat comes after 15 seconds without an event. A client that "
                    "reads slowly is waited for.\n\n"
                    "A stream is not a subscription: the server remembers nothing of it."
                ),
                access=Access.READ,
                handle=self.follow,
                query=StreamQuery,
                headers={"Last-Event-ID": "The position of the last event that was received."},
                answer="text/event-stream",
                errors=(NotFound,),
                sample=Sample(
                    answer='id: 1\ndata: {"position":1,"id":"00000192f0a1b2c3-5f3c9a7e12d40001",'
                    '"entityType":"orders.Order", … }\n\n: heartbeat\nid: 1\n\n'
                ),
            )
        ]


class _EventStream(Response):
    """An answer that goes on until the client leaves or the server ends."""

    media_type = "text/event-stream"

    def __init__(
        self,
        store: EmbeddedEventStore,
        sources: Sources,
        wanted: LogFilter,
        after: int,
        heartbeat: float,
        principal: Principal | None,
    ) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]  # it has no end
        self._store = store
        self._sources = sources
        self._wanted = wanted
        self._position = after
        self._heartbeat = heartbeat
        self._principal = principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send pages. ``send`` returns when the client has taken enough of what came before."""
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await send(start)
        async with Following(self._store, self._sources, receive, self._principal) as following:
            chunk = b": following\n\n"
            while not following.over:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                try:
                    chunk = await self._next(following)
                except EventuaryError:
                    break  # the storage is ill: the client comes back to where it was
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self, following: Following) -> bytes:
        """Return the next page of events; a heartbeat when there was none for so long."""
        loop = asyncio.get_running_loop()
        quiet_until = loop.time() + self._heartbeat
        while not following.over:
            page = await self._read()
            self._position = page.position
            if page.events:
                return b"".join(
                    b"id: %d\ndata: %b\n\n" % (event.position, _encode(logged(event)))
                    for event in page.events
                )
            left = quiet_until - loop.time()
            if left <= 0:
                break
            partition = self._wanted.partition
            if page.position >= self._store.engine.heads[partition]:
                await following.wait(page.position, partition, left)
        return b": heartbeat\nid: %d\n\n" % self._position

    async def _read(self) -> LogPage:
        query = self._wanted.after(self._position, limit=_PAGE_EVENTS, max_bytes=_PAGE_BYTES)
        return await self._store.read_log(query)


def _last_event_id(call: Call) -> int | None:
    text = call.header(_LAST_EVENT_ID)
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None or int(text) > MOST_POSITION:
        raise BadRequest(f"Last-Event-ID: {text[:80]!r} is no position of the log")
    return int(text)
