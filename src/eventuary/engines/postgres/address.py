"""The URL of a PostgreSQL engine: a connection string of libpq, and `schema`, which is ours.

    postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME&sslmode=verify-full&…

Several hosts may be named, as in ``HOST1:5432,HOST2:5432``: whichever is the primary is used. All
other parameters are handed to asyncpg: ``sslmode``, ``sslrootcert``, ``sslcert``, ``sslkey``,
``passfile``, ``service``, and settings of the session.
"""

import re
from urllib.parse import parse_qsl, urlencode

import msgspec

from eventuary.errors import ConfigurationError

#: The PostgreSQL schema that holds our tables, unless the URL names another.
DEFAULT_SCHEMA = "eventuary"

#: Bytes of an identifier in PostgreSQL, at most.
_MOST_SCHEMA_BYTES = 63

#: Kinds of servers that events can be written to; the first is what is meant if nothing is said.
_WANTED = ("read-write", "primary")

#: All of a host but its port; an IPv6 address has brackets around it.
_ALL_BUT_PORT = re.compile(r"^(\[[^\]]*\]|[^:]*):?")

_PASSWORD = re.compile(r"(?<=://)([^/?#]*?):[^/?#]*@")
_SECRETS = frozenset({"password", "sslpassword"})


class Host(msgspec.Struct, frozen=True):
    """A server that may be the primary. ``dsn``, which may hold a password, names it alone."""

    dsn: str
    #: As the URL has it; "": the URL names none, and asyncpg's defaults hold.
    name: str


class Address(msgspec.Struct, frozen=True):
    """Where the database is. ``shown`` holds no password."""

    hosts: tuple[Host, ...]
    #: What a server must be to be used, of asyncpg's ``target_session_attrs``.
    wanted: str
    schema: str
    shown: str


def read_address(url: str) -> Address:
    """Read an engine's URL.

    Raises ConfigurationError for a schema that can't be, hosts that can't be read, and for a kind
    of server that takes no events.
    """
    place, _, query = url.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    schema = parameters.pop("schema", DEFAULT_SCHEMA)
    check_schema(schema)
    wanted = parameters.pop("target_session_attrs", _WANTED[0])
    if wanted not in _WANTED:
        raise ConfigurationError(
            f"engine: target_session_attrs={wanted[:80]}: events are written, so it is "
            f"{' or '.join(_WANTED)}"
        )
    return Address(
        hosts=tuple(_hosts(place, parameters)),
        wanted=wanted,
        schema=schema,
        shown=hide_secrets(url),
    )


def _hosts(place: str, parameters: dict[str, str]) -> list[Host]:
    """Return each host with a connection string of its own, so that each may have its time."""
    scheme, mark, rest = place.partition("://")
    authority, slash, database = rest.partition("/")
    if "@" in database or authority.count("@") > 1:
        raise ConfigurationError("engine: within a user or password @ is %40, / is %2F, ? is %3F")
    user, at, names = authority.rpartition("@")
    if names:
        each = names.split(",")
        _check_names(each)
        start, end = f"{scheme}{mark}{user}{at}", slash + database
        return [Host(_dsn(start + name + end, parameters), name) for name in each]
    if "host" not in parameters:
        return [Host(_dsn(place, parameters), "")]
    each, ports = parameters["host"].split(","), parameters.get("port", "").split(",")
    _check_names(each)
    if len(ports) not in (1, len(each)):
        raise ConfigurationError(f"engine: {len(each)} hosts, and {len(ports)} ports")
    if len(ports) == 1:
        ports *= len(each)
    hosts = []
    for number, (name, port) in enumerate(zip(each, ports, strict=True), 1):
        _check_port(number, port)
        own = {**parameters, "host": name, "port": port}
        hosts.append(Host(_dsn(place, own), f"{name}:{port}" if port else name))
    return hosts


def _check_names(names: list[str]) -> None:
    # They are not told: what looks like a host may be the end of a password.
    for number, name in enumerate(names, 1):
        if not name or name.startswith(":"):
            raise ConfigurationError(f"engine: host {number} of {len(names)} has no name")
        if not name.startswith("/"):  # as a directory with a socket does
            _check_port(number, _ALL_BUT_PORT.sub("", name))


def _check_port(number: int, port: str) -> None:
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise ConfigurationError(f"engine: the port of host {number} is no number of 1 to 65535")


def _dsn(place: str, parameters: dict[str, str]) -> str:
    present = {name: value for name, value in parameters.items() if value or name != "port"}
    return place + ("?" + urlencode(present) if present else "")


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
