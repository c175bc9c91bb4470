"""What the table ``migration`` says: whether a migration made this schema, and is finished."""

from eventuary.engines.copying import Migration, unfinished
from eventuary.engines.postgres.address import Address
from eventuary.engines.postgres.database import Connection


async def read_migration(connection: Connection) -> Migration | None:
    """Return what is said of a migration; None if none has made this schema."""
    if await connection.fetchval("SELECT to_regclass('migration')") is None:
        return None  # a schema that is older than migrations
    rows = await connection.fetch("SELECT source, verified, digest, finished_at FROM migration")
    return Migration(*rows[0]) if rows else None


async def check_is_finished(connection: Connection, address: Address, server_no: int) -> None:
    """Let a server that has just joined go again if it must not serve this schema.

    It is asked after joining: a migration looks for servers in the same turn in which it says that
    it is there, so that either of the two sees the other. Raises ConfigurationError.
    """
    found = await read_migration(connection)
    if found is not None and found.finished_at is None:
        await connection.execute("DELETE FROM servers WHERE server_no = $1", server_no)
        raise unfinished(address.shown, found.source)
