"""The schema of a database: whether it is there, and bringing it up to date at a start."""

import asyncpg

from eventuary.engines.postgres.address import Address, quoted
from eventuary.engines.postgres.database import Connection
from eventuary.engines.postgres.script import migrations, schema_script
from eventuary.errors import ConfigurationError


async def schema_version(connection: Connection, schema: str) -> int:
    """Return the number of migrations applied; 0: there is no schema."""
    table = f"{quoted(schema)}.schema_version"
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return 0
    version: int = await connection.fetchval(
        f"SELECT coalesce(max(version), 0) FROM {table}"  # noqa: S608 - a quoted identifier
    )
    return version


async def bring_up_to_date(connection: Connection, address: Address) -> None:
    """Apply what is missing.

    Raises ConfigurationError when this role may not, or when a newer Eventuary made the schema.
    """
    newest = len(migrations())
    version = await schema_version(connection, address.schema)
    if version > newest:
        raise ConfigurationError(
            f"engine: the schema {address.schema} has version {version}, this Eventuary knows up "
            f"to {newest}: upgrade Eventuary"
        )
    if version == newest:
        return
    try:
        await connection.execute(schema_script(address.schema))
    except asyncpg.InsufficientPrivilegeError as error:
        await connection.execute("ROLLBACK")
        have = f"has version {version} of {newest}" if version else "is not there"
        raise ConfigurationError(
            f"engine: the schema {address.schema} {have}, and this role may not change that "
            f"({error}); run, as a role that may: eventuary schema postgresql "
            f"--schema {address.schema} | psql …"
        ) from None
