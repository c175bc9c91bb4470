"""Reading the log: pages of the events that a reader wants, without visiting those it does not.

The index `events_by_type` holds the log of each event type by itself, with swimlane and size.
A page is chosen there, in a window of positions that widens while it finds little, so that a rare
event is reached in few steps, however far it lies ahead; then its rows are fetched by position.
"""

import sqlite3

import msgspec

from eventuary.engines.engine import LogPage, LogQuery
from eventuary.engines.sqlite.catalogue import Catalogue
from eventuary.events import LogEvent

_CANDIDATES = """
SELECT position, size FROM events
WHERE event_type_no IN (SELECT value FROM json_each(?1))
AND position > ?2 AND position <= ?3
ORDER BY position LIMIT ?4
"""

_CANDIDATES_IN_SWIMLANES = """
SELECT position, size FROM events
WHERE event_type_no IN (SELECT value FROM json_each(?1))
AND position > ?2 AND position <= ?3
AND swimlane IN (SELECT value FROM json_each(?5))
ORDER BY position LIMIT ?4
"""

_COUNT = """
SELECT count(*) FROM (
    SELECT 1 FROM events INDEXED BY events_by_type
    WHERE event_type_no IN (SELECT value FROM json_each(?1))
    AND position > ?2 AND position <= ?3
    AND (?5 IS NULL OR swimlane IN (SELECT value FROM json_each(?5)))
    LIMIT ?4
)
"""

_ROWS = """
SELECT position, event_id, event_type_no, entity_id, event_data, metadata, swimlane,
       triggering_event_token
FROM events WHERE position IN (SELECT value FROM json_each(?)) ORDER BY position
"""

#: The widest window: what one statement may visit when a dense stretch follows a sparse one.
_WIDEST_WINDOW = 1 << 18

_encode = msgspec.json.Encoder().encode


def read_page(
    connection: sqlite3.Connection, catalogue: Catalogue, query: LogQuery, until: int
) -> LogPage:
    """Return the page of ``query``; ``until`` is its end, or the head when it names none."""
    types = _type_numbers(catalogue, query)
    if not types or query.after >= until:
        return LogPage([], max(query.after, until))
    candidates, position = _candidates(connection, types, query, until)
    characters = 0
    for number, (_, size) in enumerate(candidates):
        characters += size
        if characters > query.max_bytes and number > 0:
            del candidates[number:]
            position = candidates[-1][0]
            break
    if not candidates:
        return LogPage([], position)
    chosen = _encode([position for position, _ in candidates]).decode()
    names = catalogue.names
    events = []
    for row in connection.execute(_ROWS, (chosen,)).fetchall():
        at, event_id, number, entity_id, data, metadata, swimlane, token = row
        space, (entity_type, event_type) = names[number]
        events.append(
            LogEvent(
                at,
                event_id,
                space,
                entity_type,
                entity_id,
                event_type,
                data,
                metadata,
                swimlane,
                token,
            )
        )
    return LogPage(events, position)


def count_events(
    connection: sqlite3.Connection, catalogue: Catalogue, query: LogQuery, until: int, cap: int
) -> int:
    """Return how many events ``query`` selects up to ``until``, counting to ``cap`` at most."""
    types = _type_numbers(catalogue, query)
    if not types or query.after >= until:
        return 0
    swimlanes = None if query.swimlanes is None else _json_array(query.swimlanes)
    found = connection.execute(
        _COUNT, (_json_array(types), query.after, until, cap, swimlanes)
    ).fetchone()
    return int(found[0])


def _candidates(
    connection: sqlite3.Connection, types: list[int], query: LogQuery, until: int
) -> tuple[list[tuple[int, int]], int]:
    """Return (position, size) of the page's events, and the position that the search reached."""
    wanted = _json_array(types)
    swimlanes = None if query.swimlanes is None else _json_array(query.swimlanes)
    found: list[tuple[int, int]] = []
    after = query.after
    window = max(query.limit, 64)
    while True:
        end = min(until, after + window)
        missing = query.limit - len(found)
        if swimlanes is None:
            rows = connection.execute(_CANDIDATES, (wanted, after, end, missing)).fetchall()
        else:
            rows = connection.execute(
                _CANDIDATES_IN_SWIMLANES, (wanted, after, end, missing, swimlanes)
            ).fetchall()
        found += rows
        if len(rows) == missing:
            return found, found[-1][0]
        if end == until or len(found) >= query.limit // 2:
            return found, end
        after = end
        if len(rows) < missing // 4:
            window = min(window * 4, _WIDEST_WINDOW)


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


def _json_array(numbers: list[int] | frozenset[int]) -> str:
    return _encode(list(numbers)).decode()
