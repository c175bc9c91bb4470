"""The log of a space as JSON pages, and waiting for the next one."""

import asyncio
from typing import Annotated

import msgspec
from starlette.responses import Response

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import LogPage
from eventuary.errors import NotFound
from eventuary.server.v1.answers import json_answer
from eventuary.server.v1.call import Call
from eventuary.server.v1.following import Following
from eventuary.server.v1.log_query import LogFilter, LoggedEvent, PageQuery, logged
from eventuary.server.v1.operation import Access, Operation, Sample
from eventuary.server.v1.sources import Sources

#: Seconds that a caller may wait.
LONGEST_WAIT = 60.0

#: Bytes of event data after which a page ends.
_PAGE_BYTES = 1024 * 1024


class EventPage(msgspec.Struct, frozen=True):
    """A stretch of the log. The next page is the one `after` this page's `position`."""

    events: list[LoggedEvent]
    position: Annotated[
        int,
        msgspec.Meta(description="What is at or below it is in this page or an earlier one."),
    ]
    head: Annotated[
        int,
        msgspec.Meta(
            description="The position of the partition's newest event, whatever its space."
        ),
    ]
    partitions: Annotated[int, msgspec.Meta(description="How many partitions the log has.")]


class LogPageRoutes:
    """``GET /v1/spaces/{space}/log``."""

    def __init__(self, store: EmbeddedEventStore, sources: Sources, longest_wait: float) -> None:
        self._store = store
        self._sources = sources
        self._longest_wait = longest_wait

    async def page(self, call: Call) -> Response:
        """Answer a page; if it is empty and the caller would wait, the next that is not."""
        query = call.query(PageQuery)
        wanted = LogFilter(call.space, query, len(self._store.engine.heads))
        page = await self._read(wanted, query.after, query.limit)
        if query.wait and not page.events:
            page = await self._wait(call, wanted, query, page)
        heads = self._store.engine.heads
        return json_answer(
            EventPage(
                [logged(event) for event in page.events],
                page.position,
                heads[wanted.partition],
                len(heads),
            )
        )

    async def _wait(
        self, call: Call, wanted: LogFilter, query: PageQuery, page: LogPage
    ) -> LogPage:
        loop = asyncio.get_running_loop()
        end = loop.time() + min(query.wait, self._longest_wait)
        async with Following(self._store, self._sources, call.receive, call.principal) as following:
            while not page.events and not following.over and loop.time() < end:
                left = end - loop.time()
                head = self._store.engine.heads[wanted.partition]
                if page.position >= head and not await following.wait(
                    page.position, wanted.partition, left
                ):
                    break
                page = await self._read(wanted, page.position, query.limit)
        return page

    async def _read(self, wanted: LogFilter, after: int, limit: int) -> LogPage:
        query = wanted.after(after, limit=limit, max_bytes=_PAGE_BYTES)
        return await self._store.read_log(query)

    def operations(self) -> list[Operation]:
        """Return what this file answers."""
        return [
            Operation(
                method="GET",
                path="/v1/spaces/{space}/log",
                name="readLog",
                tag="Log",
                summary="Read the log by position",
                description=(
                    "Events in the order of the log, which all readers see alike: who has read up "
                    "to a position never later finds a new event at or below it. Go on with "
                    "`after` = the page's `position`; a page may be empty, and its `position` "
                    "ahead, where nothing passed the filters. A log with several `partitions` is "
                    "read one by one: each is an order of its own, and an entity's events are all "
                    "in the same.\n\n"
                    "`wait` is long polling: the answer comes with the first event, or empty "
                    "after so many seconds."
                ),
                access=Access.READ,
                handle=self.page,
                query=PageQuery,
                answer=EventPage,
                errors=(NotFound,),
                sample=Sample(answer=_PAGE),
            )
        ]


_PAGE = {
    "events": [
        {
            "position": 1,
            "id": "00000192f0a1b2c3-5f3c9a7e12d40001",
            "entityType": "orders.Order",
            "entityId": "00000192f0a1b2c3-5f3c9a7e12d40000",
            "eventType": "OrderCreated",
            "eventData": '{"total": 1240}',
            "swimlane": 5,
        }
    ],
    "position": 1,
    "head": 1,
    "partitions": 1,
}
