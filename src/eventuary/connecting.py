"""From a URL to an event store: in this process, or a server's."""

import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.opening import open_engine
from eventuary.errors import ConfigurationError
from eventuary.event_store import EventStore

#: Where files are memory, where there is such a place.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of random name is made in it


def connect(url: str) -> EventStore:
    """Return the event store that ``url`` names; ``async with`` opens it.

    ``http://[id:secret@]host:port[?stomp_port=N]`` (or https): a server's. ``sqlite:PATH``: an
    embedded one, whose file no other process may have open. ``memory:``: an embedded one that is
    gone when it closes. Raises ConfigurationError for anything else.
    """
    scheme, _, rest = url.partition(":")
    if scheme in ("http", "https"):
        from eventuary.remote.store import RemoteEventStore

        return RemoteEventStore(url)
    if scheme == "memory":
        if rest:
            raise ConfigurationError(f"{url!r}: memory: takes nothing behind the colon")
        return VanishingEventStore()
    try:
        return EmbeddedEventStore(open_engine(url))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{url!r} names no event store: {error}; write http://host:8080, sqlite:PATH or memory:"
        ) from None


class VanishingEventStore(EmbeddedEventStore):
    """An embedded event store in a folder of its own, which is removed when it closes.

    It is a SQLite file like any other, in memory where the system has files that are: so what runs
    on it runs on what it will run on in earnest.
    """

    def __init__(self, *, policy: DeliveryPolicy | None = None) -> None:
        parent = _IN_MEMORY if _IN_MEMORY.is_dir() else Path(tempfile.gettempdir())
        self._folder = parent / f"eventuary-{secrets.token_hex(8)}"
        super().__init__(open_engine(f"sqlite:{self._folder / 'events.db'}"), policy=policy)

    async def __aenter__(self) -> Self:
        """Open it; again after it was closed, it is empty."""
        try:
            self._folder.mkdir(mode=0o700)
        except FileExistsError:
            raise ConfigurationError("the event store is open already") from None
        try:
            return await super().__aenter__()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it, and remove what it held."""
        await super().__aexit__(kind, error, trace)
        shutil.rmtree(self._folder, ignore_errors=True)
