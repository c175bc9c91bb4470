"""The URL of a JetStream engine: the nodes of a cluster, and the name of a log.

    nats://USER:PASSWORD@HOST1:PORT,HOST2:PORT,HOST3:PORT/NAME?replicas=3&streams=1&system=USER:PASSWORD

``NAME`` (by default ``eventuary``) begins the names of the streams, so that several logs can share
a cluster. ``replicas`` (by default 3) is how many copies new streams have, and ``streams`` how many
partitions a new log has (by default 1; a log that is there keeps its number). ``system`` is a user
of the cluster's system account, who may ask the nodes whether they sync (safety.py) and who leads
(leadership.py). Without a port: 4222. A token in place of user and password is written alone,
before the ``@``.
"""

import re
from urllib.parse import parse_qsl, unquote

import msgspec

from eventuary.errors import ConfigurationError

#: The name of the log, unless the URL names another.
DEFAULT_NAME = "eventuary"

#: Copies of new streams, unless the URL says otherwise; and how many JetStream can keep.
DEFAULT_REPLICAS = 3
MOST_REPLICAS = 5

#: Streams that a log has at most.
MOST_STREAMS = 64

_SCHEME = "nats://"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PASSWORD = re.compile(r"(?<=://)([^/?#]*?):[^/?#]*@")
_TOKEN = re.compile(r"(?<=://)[^/?#:]*@")
_SYSTEM = re.compile(r"(?<=[?&])(system=[^&:]*):[^&]*")


class Address(msgspec.Struct, frozen=True):
    """Where the cluster is. ``shown`` holds no password."""

    servers: tuple[str, ...]
    user: str | None
    password: str | None
    name: str
    replicas: int
    #: In how many partitions the log is; None: as many as it has, and 1 if it is new.
    streams: int | None
    #: A user of the system account, and the password.
    system: tuple[str, str] | None
    shown: str


def read_address(url: str) -> Address:
    """Read an engine's URL. Raises ConfigurationError."""
    shown = hide_secrets(url)
    place, _, query = url.removeprefix(_SCHEME).partition("?")
    hosts, _, name = place.partition("/")
    login, _, hosts = hosts.rpartition("@")
    user, colon, password = login.partition(":")
    servers = tuple(f"{_SCHEME}{host}" for host in hosts.split(",") if host)
    if not servers:
        raise ConfigurationError(f"engine: {shown!r} names no node; write nats://HOST,HOST,HOST")
    if not _NAME.fullmatch(name or DEFAULT_NAME):
        raise ConfigurationError(
            f"engine: {shown!r}: the name {name[:80]!r} is not 1 to 64 letters, digits, '-' or '_'"
        )
    replicas = DEFAULT_REPLICAS
    streams = None
    system = None
    for parameter, value in parse_qsl(query, keep_blank_values=True):
        if parameter == "replicas":
            replicas = _number(parameter, value, MOST_REPLICAS)
        elif parameter == "streams":
            streams = _number(parameter, value, MOST_STREAMS)
        elif parameter == "system":
            who, mark, secret = value.partition(":")
            if not who or not mark:
                raise ConfigurationError("engine: system: write system=USER:PASSWORD")
            system = (who, secret)
        else:
            raise ConfigurationError(
                f"engine: {shown!r} has an unknown parameter {parameter!r}; known: replicas, "
                "streams, system"
            )
    return Address(
        servers=servers,
        user=unquote(user) or None,
        password=unquote(password) if colon else None,
        name=name or DEFAULT_NAME,
        replicas=replicas,
        streams=streams,
        system=system,
        shown=shown,
    )


def _number(parameter: str, value: str, most: int) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= most:
        raise ConfigurationError(f"engine: {parameter}: {value[:80]!r} is outside 1..{most}")
    return int(value)


def hide_secrets(url: str) -> str:
    """Return the URL as people may see it."""
    url = _TOKEN.sub("***@", _PASSWORD.sub(r"\1:***@", url))
    return _SYSTEM.sub(r"\1:***", url)
