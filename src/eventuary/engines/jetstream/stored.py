"""A log in a cluster read beside its servers, for a migration: satisfies ``Stored``.

Events never change, and are seen in the order of their positions, so pages of them are read from
any replica, up to where the stream's leader says that the log reaches.

Cells change one by one, and the stream keeps no older ones. So a moment is what subscriptions,
dead letters, keys and spaces are at its beginning, read at once and kept, and the log as far as it
reaches after that: no position is beyond it. Snapshots may be too many to be kept: those that are
replaced within the moment are left out of it.

Nothing is written but the cell that says that a migration is here, while it holds the log.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import msgspec

from eventuary.engines.copying import (
    PAGE_BYTES,
    PAGE_EVENTS,
    Migration,
    SnapshotKey,
    StoredSnapshot,
)
from eventuary.engines.engine import DeadLetterRecord, KeyRecord, SubscriptionRecord
from eventuary.engines.jetstream import catalogue, keys, snapshots, subscriptions
from eventuary.engines.jetstream.address import Address
from eventuary.engines.jetstream.api import (
    Message,
    NotYet,
    Refused,
    direct_get,
    last,
    persevere,
)
from eventuary.engines.jetstream.cells import Cells
from eventuary.engines.jetstream.messages import Reading, decode
from eventuary.engines.jetstream.migrated import read_mark
from eventuary.engines.jetstream.partitions import partitions_of
from eventuary.engines.jetstream.presence import Kind, Presence, present
from eventuary.engines.jetstream.streams import find_log, last_sequence
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.wire import Wire
from eventuary.errors import ConfigurationError, ServiceUnavailable
from eventuary.events import LogEvent

#: Messages of the log that are asked for at once.
_READ_AT_ONCE = 1_000

#: Snapshots that are looked for at once.
_FOUND_AT_ONCE = 200

#: Cells that a look returns as of one moment.
_MOST_AT_ONCE = 1_000

#: Cells of which there are few, and which are kept for a moment.
_KEPT = (catalogue.SPACE, subscriptions.KIND, keys.KIND)


class _Moment(msgspec.Struct, frozen=True):
    head: int
    #: The last sequence of the state stream when it began.
    sequence: int
    #: By kind, and then by subject.
    cells: dict[str, dict[str, Message]]


class JetStreamStored:
    """``address`` is the cluster's, and names the log."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.shown = address.shown
        self.subjects = Subjects(address.name)
        self.wire = Wire(address)
        self.cells = Cells(self.wire, self.subjects)
        self.presence: Presence | None = None
        self._is_open = False
        [self.partition] = partitions_of(address.name, 1)
        self._reading = Reading(self.partition)
        self._swimlanes: dict[str, int] = {}
        self._moment: _Moment | None = None
        #: The log is known to reach up to here.
        self.known_head = 0

    async def connect(self) -> None:
        """Connect. Raises ConfigurationError."""
        await self.wire.open()
        self._is_open = True

    async def open(self) -> None:
        """Connect. Raises ConfigurationError."""
        await self.connect()
        with self.told():
            if await find_log(self.wire, self.subjects, self.address) is None:
                raise ConfigurationError(
                    f"{self.shown}: there is no store named {self.address.name!r} in this cluster"
                )
            await self.cells.catch_up()

    async def close(self) -> None:
        """Disconnect, and let servers have it."""
        if self.presence is not None:
            await self.presence.go()
            self.presence = None
        if self._is_open:
            self._is_open = False
            await self.wire.close()

    async def hold(self) -> str | None:
        """Say that a migration is here; returns the servers, and other migrations, that are."""
        if self.presence is not None:
            return None
        with self.told():
            presence = Presence(self.wire, self.cells, self.subjects, Kind.MIGRATION)
            await presence.come()
            there = [
                *await self.who(Kind.SERVER),
                *(f"migration {name}" for name in await self.who(Kind.MIGRATION, presence)),
            ]
        if there:
            await presence.go()
            return ", ".join(there)
        self.presence = presence
        return None

    async def who(self, kind: Kind, but: Presence | None = None) -> list[str]:
        """Return who of a kind has this log."""
        return await present(self.wire, self.cells, self.subjects, kind, but)

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[None]:
        """Read what is kept, and then how far the log reaches."""
        with self.told():
            sequence = await self.cells.catch_up()
            cells = await self._look(_KEPT)
            self._moment = _Moment(await self._newest(), sequence, cells)
        try:
            yield
        finally:
            self._moment = None

    async def migration(self) -> Migration | None:
        """Return what it says of a migration."""
        with self.told():
            found = await read_mark(self.cells, self.subjects)
        return None if found is None else found.mark.migration

    async def head(self) -> int:
        """Return the position of the newest event."""
        if self._moment is not None:
            return self._moment.head
        with self.told():
            return await self._newest()

    async def read_events(self, after: int, until: int) -> list[LogEvent]:
        """Read a page of the log."""
        events: list[LogEvent] = []
        size = 0
        after = max(0, after)
        with self.told():
            if self._moment is not None:
                until = min(until, self._moment.head)
            elif until > self.known_head:
                until = min(until, await self._newest())
            while after < until and len(events) < PAGE_EVENTS:
                number = min(until - after, PAGE_EVENTS - len(events), _READ_AT_ONCE)
                for event in await self._read(after + 1, number):
                    size += len(event.event_data) + len(event.metadata or "")
                    if events and size > PAGE_BYTES:
                        return events
                    events.append(event)
                after = events[-1].position
        return events

    async def spaces(self) -> dict[str, int]:
        """Return the spaces."""
        return catalogue.spaces_of(await self._cells_of(catalogue.SPACE))

    async def snapshots(self) -> AsyncIterator[list[StoredSnapshot]]:
        """Read all snapshots but those that are replaced meanwhile, in pages."""
        with self.told():
            moment = self._moment
            newest = await self.cells.catch_up() if moment is None else moment.sequence
        pages = self.cells.pages(f"{self.subjects.cell(snapshots.KIND)}.>")
        while True:
            page: list[StoredSnapshot] = []
            with self.told():
                cells = await anext(pages, None)
                if cells is None:
                    return
                for subject, cell in cells.items():
                    if cell.sequence <= newest:
                        stored = snapshots.decode(cell.data)
                        page.append(_snapshot(await self._whose(subject), stored))
            for part in _parts(page):
                yield part

    async def find_snapshots(self, keys: Sequence[SnapshotKey]) -> list[StoredSnapshot | None]:
        """Return the snapshots of these entities."""
        subjects = [self.subjects.cell(snapshots.KIND, *key) for key in keys]
        cells: dict[str, Message] = {}
        with self.told():
            for start in range(0, len(subjects), _FOUND_AT_ONCE):
                cells |= await self.cells.look(subjects[start : start + _FOUND_AT_ONCE])
        return [
            _snapshot(key, snapshots.decode(cells[subject].data)) if subject in cells else None
            for key, subject in zip(keys, subjects, strict=True)
        ]

    async def count_snapshots(self) -> int:
        """Count the snapshots."""
        with self.told():
            return await self.cells.count(f"{self.subjects.cell(snapshots.KIND)}.>")

    async def subscriptions(self) -> list[SubscriptionRecord]:
        """Return all subscriptions."""
        return subscriptions.records_of(await self._cells_of(subscriptions.KIND))

    async def dead_letters(self) -> list[DeadLetterRecord]:
        """Return all dead letters."""
        return subscriptions.dead_letters_of(await self._cells_of(subscriptions.KIND))

    async def keys(self) -> list[KeyRecord]:
        """Return the stored API keys."""
        return keys.keys_of(await self._cells_of(keys.KIND))

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what the cluster says into one line that says of which it is."""
        try:
            yield
        except Refused as error:
            raise ServiceUnavailable(f"{self.shown}: {error}") from error
        except ServiceUnavailable as error:
            text = str(error).removeprefix("storage: ")
            raise ServiceUnavailable(f"{self.shown}: {text}") from error

    async def _newest(self) -> int:
        self.known_head = await persevere(
            self.wire, lambda: last_sequence(self.wire, self.partition.stream)
        )
        return self.known_head

    async def _read(self, first: int, number: int) -> list[LogEvent]:
        """Read events from ``first`` on, one at least; so many are there."""

        async def attempt() -> list[Message]:
            asked = {"seq": first, "batch": number, "max_bytes": PAGE_BYTES}
            found = (await direct_get(self.wire, self.partition.stream, asked)).messages
            if not found:
                raise NotYet("a replica is behind")
            return found

        events = []
        for position, message in enumerate(await persevere(self.wire, attempt), first):
            if message.sequence != position:
                raise ServiceUnavailable(
                    f"position {position} is not in the log, though {message.sequence} is: the "
                    "cluster has lost events"
                )
            stored = decode(message.data)
            space = self._reading.space_of(message, stored)
            swimlanes = self._swimlanes.get(space)
            if swimlanes is None:
                swimlanes = await self._learn(space)
            events.append(self._reading.log_event(message, stored, swimlanes))
        return events

    async def _learn(self, space: str) -> int:
        """Return the swimlanes of a space that has events: it was fixed before them."""
        kind = catalogue.SPACE
        await self.cells.catch_up()
        self._swimlanes = catalogue.spaces_of((await self._look([kind]))[kind])
        if space not in self._swimlanes:
            raise ServiceUnavailable(
                f"space {space!r} has events, and no number of swimlanes: the cluster has lost it"
            )
        return self._swimlanes[space]

    async def _cells_of(self, kind: str) -> Mapping[str, Message]:
        if self._moment is not None:
            return self._moment.cells[kind]
        with self.told():
            await self.cells.catch_up()
            return (await self._look([kind]))[kind]

    async def _look(self, kinds: Sequence[str]) -> dict[str, dict[str, Message]]:
        """Return cells of some kinds, as of one moment if they are not very many."""
        filters = {kind: f"{self.subjects.cell(kind)}." for kind in kinds}
        number = sum([await self.cells.count(f"{each}>") for each in filters.values()])
        found: dict[str, Message] = {}
        if number <= _MOST_AT_ONCE:
            found = await self.cells.look([f"{each}>" for each in filters.values()])
        else:
            for each in filters.values():
                async for page in self.cells.pages(f"{each}>"):
                    found |= page
            found = dict(sorted(found.items(), key=lambda item: item[1].sequence))
        return {
            kind: {subject: cell for subject, cell in found.items() if subject.startswith(start)}
            for kind, start in filters.items()
        }

    async def _whose(self, subject: str) -> SnapshotKey:
        """Return whose snapshot is in a cell; its entity's events say what the subject does not."""
        names = subject.removeprefix(f"{self.subjects.cell(snapshots.KIND)}.")
        entity = f"{self.partition.events}.{names}"
        space, entity_type, entity_id = self._reading.names(entity)
        if space is not None and entity_type is not None and entity_id is not None:
            return SnapshotKey(space, entity_type, entity_id)
        found = await persevere(self.wire, lambda: last(self.wire, self.partition.stream, entity))
        said = None if found is None else decode(found.data).names
        if said is None:
            raise ServiceUnavailable(f"the snapshot {subject} is of no entity in the log")
        return SnapshotKey(*said)


def _snapshot(key: SnapshotKey, stored: snapshots.StoredSnapshot) -> StoredSnapshot:
    return StoredSnapshot(key, stored.entity_version, stored.snapshot_type, stored.json)


def _parts(page: list[StoredSnapshot]) -> Iterator[list[StoredSnapshot]]:
    """Split a page into such as are not too large."""
    part: list[StoredSnapshot] = []
    size = 0
    for each in page:
        if part and size + len(each.json) > PAGE_BYTES:
            yield part
            part, size = [], 0
        part.append(each)
        size += len(each.json)
    if part:
        yield part
