"""Appending by hand: the statement that an engine sends, in a transaction that the test holds."""

import time
from typing import Any

import asyncpg

Session = Any  # asyncpg has no types


async def session(url: str) -> Session:
    """Open a connection in the schema that an engine's URL names, known as a server of its own."""
    dsn, _, schema = url.partition("?schema=")
    opened = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    await opened.execute("SELECT join_servers(0, 'by hand', '1 hour', '{}', '{}', '{}')")
    return opened


async def append(opened: Session, entity_id: str, events: int = 1) -> int:
    """Append events of the first event type there is; returns the position before them."""
    server, type_no, event_type = await opened.fetchrow(
        "SELECT (SELECT max(server_no) FROM servers), entity_type_no, event_type_no"
        " FROM event_types ORDER BY event_type_no LIMIT 1"
    )
    ids = [f"{'f' * 16}-{hash((entity_id, n)) & (2**64 - 1):016x}" for n in range(events)]
    before: int = await opened.fetchval(
        """
        SELECT before FROM append_group($1, '{}', '{}', '{}', '{}', '{}', '{}', '{}',
            array_fill(0, ARRAY[$2::int]), array_fill($3::int, ARRAY[$2::int]),
            array_fill($4::text, ARRAY[$2::int]), array_fill($5::int, ARRAY[$2::int]),
            array_fill(0::smallint, ARRAY[$2::int]), $6,
            array_fill(NULL::text, ARRAY[$2::int]), array_fill('{}'::bytea, ARRAY[$2::int]),
            array_fill(NULL::bytea, ARRAY[$2::int]), '{}', '{}', '{}', '{}', '{}', '{}', '{}')
        """,
        server,
        events,
        type_no,
        entity_id,
        event_type,
        sorted(ids),
    )
    return before


async def is_waiting(observer: Session, observed: Session) -> None:
    """Return when a session waits for a lock that another one has."""
    deadline = time.monotonic() + 30.0
    while not await observer.fetchval(
        "SELECT cardinality(pg_blocking_pids($1)) > 0", observed.get_server_pid()
    ):
        assert time.monotonic() < deadline, "the session waits for nobody"
