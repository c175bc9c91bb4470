"""What the table ``migration`` says: whether a migration made this database, and is finished."""

import sqlite3

from eventuary.engines.copying import Migration
from eventuary.ids import ZERO_ID


def read_migration(connection: sqlite3.Connection) -> Migration | None:
    """Return what is said of a migration; None if none has made this database."""
    row = connection.execute(
        "SELECT source, verified, digest, finished_at FROM migration"
    ).fetchone()
    return None if row is None else Migration(*row)


def highest_copied_id(connection: sqlite3.Connection) -> str:
    """Return an id that is above all ids that were copied here.

    Where several servers wrote the log, it is not that of the last one.
    """
    row = connection.execute("SELECT highest_id FROM migration").fetchone()
    return ZERO_ID if row is None else str(row[0])
