"""The peer: message-db's ``write_message``, called over so many connections at once.

    python -m bench.peer_message_db URL FOLDER SECONDS CLIENTS

``FOLDER``: message-db's SQL. Each call writes one message of 300 bytes to a stream of its own, and
checks its version. Prints ``{"rate": messages per second}``.
"""

import asyncio
import json
import sys
import time
import uuid
from pathlib import Path

import asyncpg

from bench.events import DATA, EVENT_TYPE

#: In the order of its installation. Roles and privileges are left out, and pgcrypto: what is needed
#: of that has been in PostgreSQL itself since version 13.
_SCRIPTS = (
    "schema/message-store.sql",
    "tables/messages.sql",
    "types/message.sql",
    "functions/message-store-version.sql",
    "functions/hash-64.sql",
    "functions/acquire-lock.sql",
    "functions/category.sql",
    "functions/is-category.sql",
    "functions/id.sql",
    "functions/cardinal-id.sql",
    "functions/stream-version.sql",
    "functions/write-message.sql",
    "indexes/messages-id.sql",
    "indexes/messages-stream.sql",
    "indexes/messages-category.sql",
)


async def _install(url: str, folder: Path) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("DROP SCHEMA IF EXISTS message_store CASCADE")
    await connection.execute("SET search_path = message_store, public")
    for script in _SCRIPTS:
        # Indexes are made while others write, which a transaction can't; here nobody does.
        text = (folder / script).read_text().replace("CONCURRENTLY", "")
        await connection.execute(text)
    await connection.close()


async def measure(url: str, folder: Path, seconds: float, clients: int) -> float:
    """Write for so long."""
    await _install(url, folder)
    pool = await asyncpg.create_pool(
        url,
        min_size=clients,
        max_size=clients,
        server_settings={"search_path": "message_store, public", "synchronous_commit": "on"},
    )
    written = 0
    end = time.perf_counter() + seconds

    async def write() -> None:
        nonlocal written
        async with pool.acquire() as connection:
            statement = await connection.prepare(
                "SELECT write_message($1, $2, $3, $4::jsonb, NULL, -1)"
            )
            while time.perf_counter() < end:
                name = str(uuid.uuid4())
                await statement.fetchval(name, f"order-{name}", EVENT_TYPE, DATA)
                written += 1

    began = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(clients)))
    elapsed = time.perf_counter() - began
    await pool.close()
    return written / elapsed


if __name__ == "__main__":
    url, folder, seconds, clients = sys.argv[1:]
    rate = asyncio.run(measure(url, Path(folder), float(seconds), int(clients)))
    print(json.dumps({"rate": rate}))
