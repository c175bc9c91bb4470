"""What SQLite alone does with our schema: nothing but the INSERT, durable, from Python.

    python -m bench.bare_sqlite DIRECTORY SECONDS EVENTS_PER_TRANSACTION

Prints ``{"rate": events per second}``.
"""

import itertools
import json
import sqlite3
import sys
import time
from importlib.resources import files
from pathlib import Path

from bench.events import DATA

_COLUMNS = 10
#: Rows of one INSERT; among 1, 32, 128 and 256, the fastest for groups of 1,000.
_ROWS = 128


def open_database(path: Path) -> sqlite3.Connection:
    """Return a connection to a new database with our tables and indexes, and names for one type."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -32768")
    folder = files("eventuary.engines.sqlite").joinpath("migrations")
    for migration in sorted(folder.iterdir(), key=lambda each: each.name):
        if migration.name.endswith(".sql"):
            connection.executescript(migration.read_text("utf-8"))
    return connection


def event_row(position: int, data: str = DATA) -> tuple[object, ...]:
    """Return a row of ``events``: an entity of its own for each."""
    event_id = f"{position:016x}-0000000000000000"
    return (position, event_id, 1, event_id, 1, position & 7, len(data), data, None, None)


def insert(connection: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    """Write the rows in one durable transaction."""
    if len(rows) > _ROWS:
        connection.execute("BEGIN IMMEDIATE")
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        placeholders = ",".join(["(" + ",".join("?" * _COLUMNS) + ")"] * len(part))
        connection.execute(
            f"INSERT INTO events VALUES {placeholders}",
            list(itertools.chain.from_iterable(part)),
        )
    if connection.in_transaction:
        connection.execute("COMMIT")


def main() -> None:
    """Insert for so long."""
    directory, seconds, size = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    connection = open_database(directory / "bare.db")
    position = 0
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        insert(connection, [event_row(position + number) for number in range(size)])
        position += size
    connection.close()
    print(json.dumps({"rate": position / elapsed}))


if __name__ == "__main__":
    main()
