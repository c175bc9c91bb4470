"""What PostgreSQL alone does with our events table: one INSERT a group, durable, from Python.

    python -m bench.bare_postgres URL SECONDS EVENTS_PER_TRANSACTION

``URL``: of a database on which a server of ours has made its tables. Nothing is checked, nothing
is locked, nobody else writes. Prints ``{"rate": events per second}``.
"""

import asyncio
import json
import sys
import time

import asyncpg

from bench.events import DATA

_SCHEMA = """
DROP SCHEMA IF EXISTS bare CASCADE;
CREATE SCHEMA bare;
CREATE TABLE bare.events (LIKE eventuary.events INCLUDING ALL);
"""

_INSERT = """
INSERT INTO bare.events (position, entity_type_no, event_type_no, size, swimlane, event_id,
                         entity_id, event_data)
SELECT position, 1, 1, $3, 0, id, id, $4 FROM unnest($1::bigint[], $2::text[]) AS e (position, id)
"""


async def measure(url: str, seconds: float, size: int) -> float:
    """Insert for so long."""
    connection = await asyncpg.connect(url, server_settings={"synchronous_commit": "on"})
    await connection.execute(_SCHEMA)
    statement = await connection.prepare(_INSERT)
    data = DATA.encode()
    position = 0
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        positions = range(position + 1, position + size + 1)
        ids = [f"{each:016x}-0000000000000000" for each in positions]
        await statement.fetch(list(positions), ids, len(data), data)
        position += size
    await connection.execute("DROP SCHEMA bare CASCADE")
    await connection.close()
    return position / elapsed


if __name__ == "__main__":
    url, seconds, size = sys.argv[1:]
    print(json.dumps({"rate": asyncio.run(measure(url, float(seconds), int(size)))}))
