"""Stored API keys. Each call opens the database for itself: `eventuary keys` runs anywhere."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from eventuary.engines.engine import KeyRecord
from eventuary.engines.sqlite.database import connect, unavailable
from eventuary.errors import Conflict, NotFound

_CACHE_BYTES = 64 * 1024


class SqliteKeyStore:
    """The table ``api_keys``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _connect(self) -> closing[sqlite3.Connection]:
        return closing(connect(self._path, cache_bytes=_CACHE_BYTES))

    def list_keys(self) -> list[KeyRecord]:
        """Return all keys, oldest first."""
        try:
            with self._connect() as connection:
                return read_keys(connection)
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def add_key(self, key: KeyRecord) -> None:
        """Store a key. Raises Conflict when its id is taken."""
        try:
            with self._connect() as connection:
                insert_key(connection, key)
        except sqlite3.IntegrityError:
            raise Conflict(f"key {key.key_id!r} exists already; revoke it first") from None
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def revoke_key(self, key_id: str) -> None:
        """Delete a key. Raises NotFound when there is none of this id."""
        try:
            with self._connect() as connection:
                deleted = connection.execute("DELETE FROM api_keys WHERE key_id = ?", (key_id,))
        except sqlite3.Error as error:
            raise unavailable(error) from error
        if deleted.rowcount == 0:
            raise NotFound(f"there is no key {key_id!r}")


def read_keys(connection: sqlite3.Connection) -> list[KeyRecord]:
    """Return all keys, oldest first."""
    rows = connection.execute(
        "SELECT key_id, secret_hash, spaces, read_only, created_at FROM api_keys"
        " ORDER BY created_at, key_id"
    ).fetchall()
    return [
        KeyRecord(
            key_id,
            secret_hash,
            msgspec.json.decode(spaces, type=tuple[str, ...]),
            bool(read_only),
            created_at,
        )
        for key_id, secret_hash, spaces, read_only, created_at in rows
    ]


def insert_key(connection: sqlite3.Connection, key: KeyRecord) -> None:
    """Write a key."""
    connection.execute(
        "INSERT INTO api_keys (key_id, secret_hash, spaces, read_only, created_at)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            key.key_id,
            key.secret_hash,
            msgspec.json.encode(key.spaces).decode(),
            key.read_only,
            key.created_at,
        ),
    )
