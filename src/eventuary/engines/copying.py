"""A whole store, read beside its servers, and written as it was: what `migrate` asks of engines.

``Stored`` reads and changes nothing. ``Target`` takes events at the positions, and with the ids,
that they have elsewhere, so that positions of subscriptions and dead letters stay true as they are.
SQLite and PostgreSQL take any; JetStream gives positions by itself, one after the other, so it
takes a log that has all of them from 1 on, and is checked to have given each event its own.

A target is marked before anything is written to it, and until it is finished no server may open it:
``Engine.start`` raises ``unfinished``. Only what lasts is copied: not leases, nor who is connected,
nor what an operator has asked for and no server has done yet.

All methods raise ServiceUnavailable when the storage fails.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec

from eventuary.engines.engine import DeadLetterRecord, KeyRecord, SubscriptionRecord
from eventuary.errors import ConfigurationError
from eventuary.events import LogEvent

#: Events of a page, and characters or bytes of their data, at most (one event is always read).
PAGE_EVENTS = 4_000
PAGE_BYTES = 4 * 1024 * 1024


class SnapshotKey(NamedTuple):
    """Whose snapshot it is."""

    space: str
    entity_type: str
    entity_id: str


class StoredSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A snapshot as it is stored."""

    key: SnapshotKey
    entity_version: str
    snapshot_type: str
    json: str


class Migration(msgspec.Struct, frozen=True):
    """What a store says of the migration that made it."""

    #: The source, as people may see it.
    source: str
    #: Up to this position its events were compared with the source's, and found the same.
    verified: int
    #: The digest of the log up to there, in hexadecimal.
    digest: str
    #: Milliseconds since the epoch; None: it is not to be served yet.
    finished_at: int | None


class Changes(msgspec.Struct):
    """What is to be written so that a store holds, beside its events, what another one does."""

    #: Spaces that are new, and their numbers of swimlanes.
    spaces: dict[str, int] = {}
    snapshots: list[StoredSnapshot] = []
    #: What is deleted goes first. With a subscription go its positions and its dead letters.
    deleted_subscriptions: list[tuple[str, str]] = []
    subscriptions: list[SubscriptionRecord] = []
    deleted_dead_letters: list[tuple[str, str, int]] = []
    dead_letters: list[DeadLetterRecord] = []
    deleted_keys: list[str] = []
    keys: list[KeyRecord] = []

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__struct_fields__)


class Stored(Protocol):
    """A store on its disk. ``open`` before the first call, ``close`` after the last."""

    @property
    def shown(self) -> str:
        """Its URL, as people may see it."""

    async def open(self) -> None:
        """Open it. Raises ConfigurationError when there is none, or it can't be read."""

    async def close(self) -> None:
        """Let go of it."""

    async def hold(self) -> str | None:
        """Keep servers away from it until ``close``; returns who serves it, if it can't."""

    def moment(self) -> AbstractAsyncContextManager[None]:
        """Within this, everything is read as it was at one moment.

        An engine that keeps no older state may show the log somewhat later than all else.
        """

    async def migration(self) -> Migration | None:
        """Return what it says of a migration that has made it."""

    async def head(self) -> int:
        """Return the position of the newest event."""

    async def read_events(self, after: int, until: int) -> list[LogEvent]:
        """Read a page of the log, of all spaces, after ``after`` and up to ``until``, in order.

        Empty only if there is no event between them.
        """

    async def spaces(self) -> dict[str, int]:
        """Return the spaces and their numbers of swimlanes, oldest first."""

    def snapshots(self) -> AsyncIterator[list[StoredSnapshot]]:
        """Read all snapshots, in pages.

        An engine that keeps no older ones may leave out what its servers replace meanwhile.
        """

    async def find_snapshots(self, keys: Sequence[SnapshotKey]) -> list[StoredSnapshot | None]:
        """Return the snapshots of these entities."""

    async def count_snapshots(self) -> int:
        """Count the snapshots."""

    async def subscriptions(self) -> list[SubscriptionRecord]:
        """Return all subscriptions."""

    async def dead_letters(self) -> list[DeadLetterRecord]:
        """Return the dead letters of all subscriptions."""

    async def keys(self) -> list[KeyRecord]:
        """Return the stored API keys."""


class Target(Stored, Protocol):
    """A store that is being made. While it is open, no server and no other migration has it.

    ``open`` makes it if there is none.
    """

    async def begin(self, source: str) -> Migration:
        """Mark it as a copy of ``source``, if it is not marked. Returns what it says of itself.

        Raises ConfigurationError when it is served, or holds something and is no copy.
        """

    async def import_events(self, events: Sequence[LogEvent]) -> None:
        """Write events after the head, as they are, in their order: done, it is on disk.

        Whatever happens, what is written of them is their beginning. Their spaces are there. Ids
        that are given later are above those of their entities. Raises ConfigurationError when it
        can't take them at their positions.
        """

    async def write(self, changes: Changes) -> None:
        """Write what is not events."""

    async def note_verified(self, position: int, digest: str) -> None:
        """Remember how far its events were compared with the source's."""

    async def finish(self) -> None:
        """Let it be served from now on."""


def unfinished(shown: str, source: str) -> ConfigurationError:
    """Return what a server is told that is to open a store which is still being made."""
    return ConfigurationError(
        f"engine: {shown}: its migration from {source} is not finished: stop the servers of "
        f"{source}, and run the same `eventuary migrate` once more"
    )


def counted(number: int, things: str) -> str:
    """Return so many of something, as people say it: ``1 event``, ``2,000 events``."""
    return f"{number:,} {things if number != 1 else things.removesuffix('s')}"


def not_empty(shown: str, number: int, things: str) -> ConfigurationError:
    """Return why a store that holds something can't be the target of a migration."""
    return ConfigurationError(
        f"TARGET: {shown} holds {counted(number, things)} and is no copy of SOURCE: name "
        "one that is empty, or not there yet"
    )
