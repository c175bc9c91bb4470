"""Events of entities that are long gone, straight into PostgreSQL's tables: a store of some years.

    python -m bench.fill_postgres URL EVENTS

``URL``: of a database in whose schema ``old_store`` a server of ours has stored an event, and has
stopped.
Five events an entity, ids that grow as real ones do. Prints ``{"rate": events per second}``.
"""

import asyncio
import json
import sys
import time

import asyncpg

from bench.events import DATA

_AT_ONCE = 500_000

_INSERT = """
INSERT INTO old_store.events (position, entity_type_no, event_type_no, size, swimlane, event_id,
                              entity_id, event_data)
SELECT last + n, entity_type_no, event_type_no, length($3::bytea), ((last + n) / 5) % 8,
       lpad(to_hex(1700000000000 + (last + n) / 10), 16, '0') || '-' || lpad(to_hex(n), 16, '0'),
       lpad(to_hex(1700000000000 + (last + n) / 50 * 5), 16, '0') || '-'
           || lpad(to_hex((last + n) / 5), 16, '0'),
       $3::bytea
FROM generate_series(1, $2::bigint) AS n,
     (SELECT $1::bigint AS last) AS before,
     (SELECT entity_type_no, event_type_no FROM old_store.event_types LIMIT 1) AS names
"""


async def fill(url: str, events: int) -> float:
    """Insert so many."""
    connection = await asyncpg.connect(url)
    began = time.perf_counter()
    left = events
    while left:
        last = await connection.fetchval("SELECT max(position) FROM old_store.events")
        some = min(left, _AT_ONCE)
        await connection.execute(_INSERT, last, some, DATA.encode())
        left -= some
    seconds = time.perf_counter() - began
    await connection.execute("ANALYZE old_store.events")
    await connection.execute("CHECKPOINT")
    await connection.close()
    return events / seconds


if __name__ == "__main__":
    url, events = sys.argv[1:]
    print(json.dumps({"rate": asyncio.run(fill(url, int(events)))}))
