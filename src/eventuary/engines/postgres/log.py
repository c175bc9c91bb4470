"""Reading the log: pages of the events that a reader wants, without visiting those it does not.

The index `events_by_type` holds the log of each event type by itself, with swimlane and size.
A page is chosen there, in a window of positions that widens while it finds little, so that a rare
event is reached in few steps, however far it lies ahead; then its rows are fetched by position.

Both halves of the index are compared as one row: no other index can answer that, so that the plan
is the same whatever the planner believes of the table. Plain conditions on the position let it walk
the primary key in search of the next event of a type, through all others.
"""

from eventuary.engines.engine import LogPage, LogQuery
from eventuary.engines.postgres.catalogue import Catalogue
from eventuary.engines.postgres.database import Connection, Row
from eventuary.events import LogEvent

_CANDIDATES = """
SELECT found.position, found.size
FROM unnest($1::integer[]) AS wanted (type)
CROSS JOIN LATERAL (
    SELECT e.position, e.size FROM events e
    WHERE (e.event_type_no, e.position) > (wanted.type, $2::bigint)
    AND (e.event_type_no, e.position) <= (wanted.type, $3::bigint)
    AND ($5::smallint[] IS NULL OR e.swimlane = ANY ($5))
    ORDER BY e.event_type_no, e.position LIMIT $4
) AS found
ORDER BY found.position LIMIT $4
"""

_COUNT = """
SELECT count(*) FROM (
    SELECT FROM unnest($1::integer[]) AS wanted (type)
    CROSS JOIN LATERAL (
        SELECT FROM events e
        WHERE (e.event_type_no, e.position) > (wanted.type, $2::bigint)
        AND (e.event_type_no, e.position) <= (wanted.type, $3::bigint)
        AND ($5::smallint[] IS NULL OR e.swimlane = ANY ($5))
        ORDER BY e.event_type_no, e.position LIMIT $4
    ) AS found
    LIMIT $4
) AS counted
"""

_COLUMNS = """
SELECT position, event_id, event_type_no, entity_id, event_data, metadata, swimlane,
       triggering_event_token
"""

_ROWS = f"{_COLUMNS} FROM events WHERE position = ANY ($1::bigint[]) ORDER BY position"

_STRETCH = f"""{_COLUMNS} FROM events
WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3
"""

#: The widest window: what one statement may visit when a dense stretch follows a sparse one.
_WIDEST_WINDOW = 1 << 18


async def read_page(
    connection: Connection, catalogue: Catalogue, query: LogQuery, until: int
) -> LogPage:
    """Return the page of ``query``; ``until`` is its end, or the head when it names none."""
    if catalogue.stale:
        await catalogue.load(connection)
    types = _type_numbers(catalogue, query)
    if not types or query.after >= until:
        return LogPage([], max(query.after, until))
    candidates, position = await _candidates(connection, types, query, until)
    size = 0
    for number, (_, more) in enumerate(candidates):
        size += more
        if size > query.max_bytes and number > 0:
            del candidates[number:]
            position = candidates[-1][0]
            break
    if not candidates:
        return LogPage([], position)
    rows = await connection.fetch(_ROWS, [position for position, _ in candidates])
    return LogPage(_events(catalogue, rows), position)


async def read_stretch(
    connection: Connection, catalogue: Catalogue, after: int, until: int, limit: int
) -> list[LogEvent]:
    """Return all events of a stretch, of all spaces, ``limit`` at most; their names are learnt."""
    rows = await connection.fetch(_STRETCH, after, until, limit)
    if rows and rows[0]["position"] != after + 1:
        raise AssertionError(f"the log has a hole after position {after}")
    numbers = {row["event_type_no"] for row in rows}
    await catalogue.learn(connection, numbers)
    for row in rows:
        catalogue.note(row["event_type_no"])
    return _events(catalogue, rows)


async def event_id_at(connection: Connection, position: int) -> str | None:
    """Return the id of the event at a position; None: there is none."""
    event_id: str | None = await connection.fetchval(
        "SELECT event_id FROM events WHERE position = $1", position
    )
    return event_id


async def count_events(
    connection: Connection, catalogue: Catalogue, query: LogQuery, until: int, cap: int
) -> int:
    """Return how many events ``query`` selects up to ``until``, counting to ``cap`` at most."""
    if catalogue.stale:
        await catalogue.load(connection)
    types = _type_numbers(catalogue, query)
    if not types or query.after >= until:
        return 0
    found: int = await connection.fetchval(
        _COUNT, types, query.after, until, cap, _swimlanes(query)
    )
    return found


async def _candidates(
    connection: Connection, types: list[int], query: LogQuery, until: int
) -> tuple[list[tuple[int, int]], int]:
    """Return (position, size) of the page's events, and the position that the search reached."""
    swimlanes = _swimlanes(query)
    found: list[tuple[int, int]] = []
    after = query.after
    window = max(query.limit, 64)
    while True:
        end = min(until, after + window)
        missing = query.limit - len(found)
        rows = await connection.fetch(_CANDIDATES, types, after, end, missing, swimlanes)
        found += [(row[0], row[1]) for row in rows]
        if len(rows) == missing:
            return found, found[-1][0]
        if end == until or len(found) >= query.limit // 2:
            return found, end
        after = end
        if len(rows) < missing // 4:
            window = min(window * 4, _WIDEST_WINDOW)


def _events(catalogue: Catalogue, rows: list[Row]) -> list[LogEvent]:
    names = catalogue.names
    events = []
    for position, event_id, number, entity_id, data, metadata, swimlane, token in rows:
        space, (entity_type, event_type) = names[number]
        events.append(
            LogEvent(
                position,
                event_id,
                space,
                entity_type,
                entity_id,
                event_type,
                data.decode(),
                None if metadata is None else metadata.decode(),
                swimlane,
                token,
            )
        )
    return events


def _type_numbers(catalogue: Catalogue, query: LogQuery) -> list[int]:
    space = catalogue.spaces.get(query.space)
    if space is None:
        return []
    numbers = space.event_types
    if query.types is not None:
        chosen = {name: numbers[name] for name in query.types if name in numbers}
    else:
        chosen = dict(numbers)
    return [
        number
        for name, number in chosen.items()
        if (query.entity_types is None or name.entity_type in query.entity_types)
        and (query.event_types is None or name.event_type in query.event_types)
    ]


def _swimlanes(query: LogQuery) -> list[int] | None:
    return None if query.swimlanes is None else list(query.swimlanes)
