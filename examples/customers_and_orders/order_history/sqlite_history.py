"""The documents in a SQLite file, which several processes of the service may share.

Each change is one transaction with the position of the event that it follows: an event that comes
again, here or to another process, finds its position passed and changes nothing. The transaction is
on disk before the event is acknowledged, as an acknowledged event does not come again.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from customers_and_orders.order_history.documents import (
    CustomerDocument,
    Documents,
    OrderDocument,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS customers (customer_id TEXT PRIMARY KEY, document TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (order_id TEXT PRIMARY KEY, document TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (swimlane INTEGER PRIMARY KEY, position INTEGER NOT NULL);
"""

#: Seconds that a process waits for another one's transaction, which takes milliseconds.
_PATIENCE = 30.0

_encode = msgspec.json.encode
_decode_customer = msgspec.json.Decoder(CustomerDocument).decode
_decode_order = msgspec.json.Decoder(OrderDocument).decode


class SqliteHistory:
    """Open within ``async with``. Raises OSError for a file that is not to be had."""

    def __init__(self, path: Path | str) -> None:
        self._path = path
        # A connection is used by its thread alone; readers don't wait for the writer (WAL).
        self._writer = ThreadPoolExecutor(1, "order-history-writer")
        self._reader = ThreadPoolExecutor(1, "order-history-reader")

    async def __aenter__(self) -> Self:
        """Open the file, and make what is missing in it."""
        loop = asyncio.get_running_loop()
        try:
            self._writing = await loop.run_in_executor(self._writer, self._connect)
            self._reading = await loop.run_in_executor(self._reader, self._connect)
        except sqlite3.Error as error:
            raise OSError(f"database: {str(self._path)!r}: {error}") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish what is under way, and close the file."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._reader, self._reading.close)
        await loop.run_in_executor(self._writer, self._writing.close)
        self._reader.shutdown()
        self._writer.shutdown()

    async def once(self, swimlane: int, position: int, change: Callable[[Documents], None]) -> bool:
        """Make a change because of the event at this position, unless it was made before.

        Events of a swimlane come in the order of their positions. Returns whether it was made.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._writer, self._once, swimlane, position, change
        )

    async def customer(self, customer_id: str) -> bytes | None:
        """Return a customer's document as JSON; None before the customer's own event has come."""
        stored = await self._read("customers", "customer_id", customer_id)
        return None if stored is None or _decode_customer(stored).name is None else stored.encode()

    async def order(self, order_id: str) -> bytes | None:
        """Return an order's document as JSON."""
        stored = await self._read("orders", "order_id", order_id)
        return None if stored is None else stored.encode()

    async def _read(self, table: str, key: str, value: str) -> str | None:
        return await asyncio.get_running_loop().run_in_executor(
            self._reader, _document, self._reading, table, key, value
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, _PATIENCE, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
        return connection

    def _once(self, swimlane: int, position: int, change: Callable[[Documents], None]) -> bool:
        connection = self._writing
        connection.execute("BEGIN IMMEDIATE")
        try:
            new = connection.execute(
                "INSERT INTO positions VALUES (?, ?) ON CONFLICT (swimlane) DO UPDATE "
                "SET position = excluded.position WHERE excluded.position > position",
                (swimlane, position),
            ).rowcount
            if new:
                change(_Transaction(connection))
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return bool(new)


class _Transaction:
    """Satisfies ``Documents``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def customer(self, customer_id: str) -> CustomerDocument:
        stored = _document(self._connection, "customers", "customer_id", customer_id)
        return CustomerDocument(customer_id) if stored is None else _decode_customer(stored)

    def order(self, order_id: str) -> OrderDocument:
        stored = _document(self._connection, "orders", "order_id", order_id)
        if stored is None:
            raise LookupError(f"there is no order {order_id!r}")
        return _decode_order(stored)

    def put_customer(self, document: CustomerDocument) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO customers VALUES (?, ?)",
            (document.customer_id, _encode(document).decode()),
        )

    def put_order(self, document: OrderDocument) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO orders VALUES (?, ?)",
            (document.order_id, _encode(document).decode()),
        )


def _document(connection: sqlite3.Connection, table: str, key: str, value: str) -> str | None:
    row = connection.execute(f"SELECT document FROM {table} WHERE {key} = ?", (value,)).fetchone()
    return None if row is None else row[0]
