"""A MongoDB database as views use it: a client for each event loop, errors in our words.

What is written is acknowledged by a majority of the replica set's members, from their journals; and
what a view reads to go on from is known to a majority too, so that an election takes nothing back
that was built upon. Options in the URL go before these.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from eventuary.errors import ConfigurationError, ServiceUnavailable

#: A document as the driver has it: JSON's types, by field.
MongoDocument = dict[str, Any]

#: Milliseconds; the driver's own are half a minute, a third of one, and none.
_DEFAULTS: dict[str, Any] = {
    "serverselectiontimeoutms": 5_000,
    "connecttimeoutms": 5_000,
    "sockettimeoutms": 30_000,
    "w": "majority",
    "journal": True,
}

#: What servers are that have transactions.
_TRANSACTIONAL = {"RSPrimary", "Mongos", "LoadBalancer"}


class MongoDatabase:
    """``url``: mongodb://…/database, or mongodb+srv://…. Raises ConfigurationError."""

    def __init__(self, url: str) -> None:
        self._url = url
        given = {name.lower(): value for name, value in parse_qsl(url.partition("?")[2])}
        if given.get("w") == "0":
            raise ConfigurationError(
                f"view: {_without_user(url)!r}: w=0: a view must know what was written"
            )
        self._options = {name: _DEFAULTS[name] for name in _DEFAULTS.keys() - given.keys()}
        self._clients: dict[asyncio.AbstractEventLoop, AsyncMongoClient[MongoDocument]] = {}
        try:
            self.name = self._open().get_default_database().name
        except (PyMongoError, ValueError, TypeError) as error:
            raise ConfigurationError(f"view: {_without_user(url)!r}: {error}") from None

    @property
    def client(self) -> AsyncMongoClient[MongoDocument]:
        """The client of the running event loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            # Those of loops that are closed are of no use to anybody.
            alive = {each: kept for each, kept in self._clients.items() if not each.is_closed()}
            client = self._open()
            self._clients = {**alive, loop: client}
        return client

    @property
    def database(self) -> AsyncDatabase[MongoDocument]:
        """The database, as whoever queries it has it."""
        return self.client[self.name]

    def collection(self, name: str) -> AsyncCollection[MongoDocument]:
        """Return a collection, of which is read what can't be taken back."""
        return self.database.get_collection(
            name, read_concern=ReadConcern("majority"), read_preference=ReadPreference.PRIMARY
        )

    @property
    def has_transactions(self) -> bool:
        """Whether it is a replica set, or several. Known once something was asked of it."""
        servers = self.client.topology_description.server_descriptions().values()
        return any(server.server_type_name in _TRANSACTIONAL for server in servers)

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def _open(self) -> AsyncMongoClient[MongoDocument]:
        return AsyncMongoClient(self._url, **self._options)


@contextmanager
def in_our_words() -> Iterator[None]:
    """Raise ServiceUnavailable for whatever the driver raises."""
    try:
        yield
    except PyMongoError as error:
        raise ServiceUnavailable(f"the view's database: {first_line(error)}") from error


def first_line(error: PyMongoError) -> str:
    """Return what an error says, without what the driver knows of all servers and replies."""
    text = str(error)
    for more in (", full error: ", ", Topology Description: ", " (configured timeouts: "):
        text = text.partition(more)[0]
    return f"{type(error).__name__}: {text.strip().splitlines()[0] if text.strip() else ''}"


def _without_user(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    hosts, slash, path = rest.partition("/")
    return f"{scheme}{separator}{hosts.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
