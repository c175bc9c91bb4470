"""Reading entities: what waits is read together, in one statement."""

import asyncio
from collections import deque
from typing import Any

import msgspec

from eventuary.engines.postgres.catalogue import Catalogue
from eventuary.engines.postgres.database import Connection
from eventuary.engines.postgres.lane import Lane
from eventuary.errors import DuplicateEvent, EventuaryError
from eventuary.events import Entity, EntityEvent, Snapshot

#: Entities read together at most: the first must not wait long for the last.
_MOST_LOADS = 64

#: Statements under way at once.
_WIDTH = 3

_SNAPSHOT, _APPLIED, _EVENT = range(3)

# One statement sees one state: a snapshot, and all events after it.
_LOAD = f"""
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
        WITH ORDINALITY AS w (space, entity_type, entity_id, token, after, no)
),
known AS MATERIALIZED (
    SELECT w.no, w.entity_id, w.token, w.after, t.entity_type_no FROM wanted w
    JOIN spaces s ON s.name = w.space
    JOIN entity_types t ON t.space_no = s.space_no AND t.name = w.entity_type
),
snapshot AS MATERIALIZED (
    SELECT k.no, s.entity_version, s.snapshot_type, s.json FROM known k
    JOIN snapshots s ON s.entity_id = k.entity_id AND s.entity_type_no = k.entity_type_no
    WHERE k.after IS NULL
)
SELECT no, {_SNAPSHOT}, entity_version, NULL::integer, snapshot_type, json FROM snapshot
UNION ALL
SELECT k.no, {_APPLIED}, NULL, NULL, NULL, NULL FROM known k
WHERE k.token IS NOT NULL AND EXISTS (
    SELECT FROM events e WHERE e.triggering_event_token = k.token
    AND e.entity_id = k.entity_id AND e.entity_type_no = k.entity_type_no
)
UNION ALL
SELECT k.no, {_EVENT}, e.event_id, e.event_type_no, e.event_data, e.metadata
FROM known k LEFT JOIN snapshot s ON s.no = k.no
CROSS JOIN LATERAL (
    SELECT event_id, event_type_no, event_data, metadata FROM events
    WHERE entity_id = k.entity_id AND entity_type_no = k.entity_type_no
    AND event_id > coalesce(k.after, s.entity_version, '')
    ORDER BY entity_id, entity_type_no, event_id
) AS e
"""  # noqa: S608 - numbers of ours only


class _Load(msgspec.Struct, gc=False):
    space: str
    entity_type: str
    entity_id: str
    token: str | None
    #: None: all, or those after the snapshot if there is one.
    after: str | None
    future: asyncio.Future[Entity]


class Loader:
    """Reads entities with connections of its own, so that no reader of the log is in the way."""

    def __init__(self, lane: Lane, catalogue: Catalogue) -> None:
        self._lane = lane
        self._catalogue = catalogue
        self._waiting: deque[_Load] = deque()
        self._under_way = 0

    def load(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        token: str | None = None,
        after: str | None = None,
    ) -> asyncio.Future[Entity]:
        """Read an entity; from ``after`` on, if given, whatever snapshot there is."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Entity] = loop.create_future()
        self._waiting.append(_Load(space, entity_type, entity_id, token, after, future))
        if self._under_way < _WIDTH:
            self._under_way += 1
            # In the loop's next turn: what comes until then is read together.
            loop.call_soon(self._next)
        return future

    def _next(self) -> None:
        if not self._waiting:
            self._under_way -= 1
            return
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_LOADS))]
        done = self._lane.run(lambda connection: self._read(connection, batch))
        done.add_done_callback(lambda each: self._answer(batch, each))

    async def _read(self, connection: Connection, batch: list[_Load]) -> list[Any]:
        rows = await connection.fetch(
            _LOAD,
            [load.space for load in batch],
            [load.entity_type for load in batch],
            [load.entity_id for load in batch],
            [load.token for load in batch],
            [load.after for load in batch],
        )
        await self._catalogue.learn(connection, {row[3] for row in rows if row[1] == _EVENT})
        return rows

    def _answer(self, batch: list[_Load], done: asyncio.Future[list[Any]]) -> None:
        self._next()
        error = done.exception()
        found = [Entity([]) for _ in batch]
        applied = set()
        names = self._catalogue.names
        for no, kind, version, number, data, more in done.result() if error is None else ():
            index = no - 1
            if kind == _APPLIED:
                applied.add(index)
            elif kind == _EVENT:
                found[index].events.append(
                    EntityEvent(
                        version,
                        names[number][1].event_type,
                        data.decode(),
                        None if more is None else more.decode(),
                    )
                )
            else:
                snapshot = Snapshot(data.decode(), more.decode(), version)
                found[index] = Entity(found[index].events, snapshot)
        for index, load in enumerate(batch):
            if load.future.done():
                continue  # its caller went away
            if error is not None:
                load.future.set_exception(_again(error))
            elif index in applied:
                load.future.set_exception(
                    DuplicateEvent(
                        f"triggeringEventToken: {load.token!r} was already applied to "
                        f"{load.entity_type} {load.entity_id!r}"
                    )
                )
            else:
                found[index].events.sort(key=_id)
                load.future.set_result(found[index])


def _id(event: EntityEvent) -> str:
    return event.id


def _again(error: BaseException) -> BaseException:
    """An exception for one future: a shared one would gather the traces of all."""
    return type(error)(str(error)) if isinstance(error, EventuaryError) else error
