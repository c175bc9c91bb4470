"""The URL of a PostgreSQL engine: a connection string of libpq, and `schema`, which is ours.

    postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME&sslmode=verify-full&…

Several hosts may be named, as in ``HOST1:5432,HOST2:5432``: whichever is the primary is used. All
other parameters are handed to asyncpg: ``sslmode``, ``sslrootcert``, ``sslcert``, ``sslkey``,
``host``, ``port``, ``passfile``, ``service``, and settings of the session.
"""

import re
from urllib.parse import parse_qsl, urlencode

import msgspec

from eventuary.errors import ConfigurationError

#: The PostgreSQL schema that holds our tables, unless the URL names another.
DEFAULT_SCHEMA = "eventuary"

#: Bytes of an identifier in PostgreSQL, at most.
_MOST_SCHEMA_BYTES = 63

_PASSWORD = re.compile(r"(?<=://)([^/?#]*?):[^/?#]*@")
_SECRETS = frozenset({"password", "sslpassword"})


class Address(msgspec.Struct, frozen=True):
    """Where the database is. ``dsn`` may hold a password; ``shown`` holds none."""

    dsn: str
    schema: str
    shown: str


def read_address(url: str) -> Address:
    """Read an engine's URL. Raises ConfigurationError for a schema that can't be."""
    place, _, query = url.partition("?")
    parameters = parse_qsl(query, keep_blank_values=True)
    schema = DEFAULT_SCHEMA
    rest = []
    for name, value in parameters:
        if name == "schema":
            schema = value
        else:
            rest.append((name, value))
    check_schema(schema)
    return Address(
        dsn=place + ("?" + urlencode(rest) if rest else ""), schema=schema, shown=hide_secrets(url)
    )


def check_schema(schema: str) -> None:
    """Raise ConfigurationError for a name that PostgreSQL would cut or refuse."""
    if not schema or "\0" in schema or len(schema.encode()) > _MOST_SCHEMA_BYTES:
        raise ConfigurationError(
            f"engine: schema {schema[:80]!r} is not 1 to {_MOST_SCHEMA_BYTES} bytes"
        )


def hide_secrets(url: str) -> str:
    """Return the URL as people may see it."""
    place, mark, query = url.partition("?")
    parameters = [
        (name, "***" if name in _SECRETS else value)
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    return _PASSWORD.sub(r"\1:***@", place) + mark + urlencode(parameters, safe="/*")


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
