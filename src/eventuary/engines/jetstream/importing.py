"""A log in a cluster that a migration makes: satisfies ``Target``.

Its streams begin at 1, and events are written at the positions that they have (copied_log.py), each
batch of a page whole; so whatever kills the migration, the log is the source's up to some position,
and its head says where to go on. A cell that says that it is not finished keeps servers away.

A source whose positions have gaps can't be copied: JetStream leaves none out.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from eventuary.engines.copying import Changes, Migration, StoredSnapshot, not_empty
from eventuary.engines.jetstream import catalogue, keys, snapshots, subscriptions
from eventuary.engines.jetstream.address import Address
from eventuary.engines.jetstream.api import direct_get, persevere
from eventuary.engines.jetstream.catalogue import Catalogue
from eventuary.engines.jetstream.cells import Change, Moved
from eventuary.engines.jetstream.copied_log import CopiedLog
from eventuary.engines.jetstream.doubts import Doubts
from eventuary.engines.jetstream.entities import Entities
from eventuary.engines.jetstream.leadership import Belief
from eventuary.engines.jetstream.messages import decode, encode_again
from eventuary.engines.jetstream.migrated import FoundMark, Mark, read_mark, write_mark
from eventuary.engines.jetstream.newest import Newest
from eventuary.engines.jetstream.places import Places
from eventuary.engines.jetstream.presence import Kind, Presence
from eventuary.engines.jetstream.stored import JetStreamStored
from eventuary.engines.jetstream.streams import make_log
from eventuary.engines.jetstream.subscriptions import Subscriptions
from eventuary.errors import ConfigurationError, ServiceUnavailable
from eventuary.events import LogEvent
from eventuary.swimlanes import DEFAULT_SWIMLANES

#: Server numbers below this are taken to be given one after the other, by JetStream or PostgreSQL.
_GIVEN_NUMBERS = 1 << 32

#: Seconds until another migration is really there: one that was killed is for a moment yet.
_PATIENCE = 5.0
_PAUSE = 0.1

#: Of snapshots and dead letters, so many are written at once.
_AT_ONCE = 200

#: What a store may hold that is no copy, beside events, and how people call it.
_THINGS = (
    (subscriptions.KIND, "*.*.main", "subscriptions"),
    (keys.KIND, ">", "API keys"),
    (catalogue.SPACE, ">", "spaces"),
)


_Record = TypeVar("_Record")


class JetStreamTarget(JetStreamStored):
    """``address`` is the cluster's, and names the log."""

    _mark: FoundMark

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._log = CopiedLog(self.wire, self.partition.stream)
        self._doubts = Doubts(self.cells, self.subjects)
        self._catalogue = Catalogue(self.cells, self.subjects, DEFAULT_SWIMLANES)
        self._entities = Entities(
            self.wire,
            Places([self.partition], self._catalogue),
            [Newest(self.wire, self.partition.stream, Belief())],
        )
        self._subscriptions = Subscriptions(self.cells, self.subjects, self._catalogue)
        self._head = 0

    async def open(self) -> None:
        """Make what is not there, and keep others away. Raises ConfigurationError."""
        await self.connect()
        await make_log(self.wire, self.subjects, self.address)
        with self.told():
            await self.cells.prepare()
            self.presence = Presence(self.wire, self.cells, self.subjects, Kind.MIGRATION)
            await self.presence.come()
            deadline = time.monotonic() + _PATIENCE
            while others := await self.who(Kind.MIGRATION, self.presence):
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"TARGET: {self.shown}: another migration is making it "
                        f"({', '.join(others)})"
                    )
                await asyncio.sleep(_PAUSE)
            await self._catalogue.load()

    async def begin(self, source: str) -> Migration:
        """Mark it as a copy of ``source``. Raises ConfigurationError."""
        with self.told():
            servers = await self.who(Kind.SERVER)
            if servers:
                raise ConfigurationError(
                    f"TARGET: {self.shown} is served ({', '.join(servers)}): stop its servers, or "
                    "name another one"
                )
            self._head = await self._log.head()
            found = await read_mark(self.cells, self.subjects)
            if found is None:
                await self._check_is_empty()
                await self._say(Mark(Migration(source, 0, "", None)), 0)
            else:
                self._mark = found
                await self._doubts.load()
        return self._mark.mark.migration

    async def import_events(self, events: Sequence[LogEvent]) -> None:
        """Write events as they are, in batches that are stored whole."""
        for before, event in enumerate(events, self._head):
            if event.position != before + 1:
                raise ConfigurationError(
                    f"SOURCE: position {event.position} follows {before}: JetStream leaves no "
                    f"position out, so {self.shown} can't be a copy of it"
                )
        of_entities = [
            (self.partition.subject(event.space, event.entity_type, event.entity_id), event)
            for event in events
        ]
        with self.told():
            for name in dict.fromkeys((event.space, event.type) for event in events):
                await self._catalogue.register_type(*name)
            await self._note_numbers(events)
            await self._doubts.note(of_entities)
            messages = [
                (subject, encode_again(event, doubtful=subject in self._doubts))
                for subject, event in of_entities
            ]
            await self._log.write(messages, self._head)
        self._head += len(events)

    async def write(self, changes: Changes) -> None:
        """Write what is not events; killed meanwhile, some of it is written."""
        with self.told():
            for name, swimlanes in changes.spaces.items():
                await self._catalogue.add_space(name, swimlanes)
            await self._write_snapshots(changes.snapshots)
            for space, subscriber_id in changes.deleted_subscriptions:
                await self._subscriptions.delete(space, subscriber_id)
            for record in changes.subscriptions:
                await self._subscriptions.create(record)
            for gone in changes.deleted_dead_letters:
                await self._subscriptions.delete_dead_letter(*gone)
            for letters in _parts(changes.dead_letters):
                # Nobody else changes their subscriptions, so no check is needed.
                await self.cells.put_all([self._subscriptions.parked(each) for each in letters])
            for key_id in changes.deleted_keys:
                await self.cells.forget(self.subjects.cell(keys.KIND, key_id))
            for key in changes.keys:
                await self.cells.put(keys.new_key(self.subjects, key))

    async def note_verified(self, position: int, digest: str) -> None:
        """Remember how far its events were compared."""
        await self._say_more(verified=position, digest=digest)

    async def finish(self) -> None:
        """Let it be served."""
        await self._say_more(finished_at=time.time_ns() // 1_000_000)
        with self.told():
            await self._doubts.forget()

    async def _check_is_empty(self) -> None:
        if self._head:
            raise not_empty(self.shown, self._head, "events")
        for kind, which, name in _THINGS:
            number = await self.cells.count(f"{self.subjects.cell(kind)}.{which}")
            if number:
                raise not_empty(self.shown, number, name)

    async def _note_numbers(self, events: Sequence[LogEvent]) -> None:
        """Note the highest of the servers in their ids, before they are there."""
        numbers = {int(event.event_id[17:29], 16) for event in events}
        highest = max((each for each in numbers if each < _GIVEN_NUMBERS), default=0)
        mark = self._mark.mark
        if highest > mark.given_number:
            await self._say(msgspec.structs.replace(mark, given_number=highest), self._mark.at)

    async def _write_snapshots(self, stored: Sequence[StoredSnapshot]) -> None:
        for key in dict.fromkeys(each.key[:2] for each in stored):
            await self._catalogue.register_snapshots(*key)
        for part in _parts(stored):
            sequences = await self._sequences_of(part)
            await self.cells.put_all(
                [
                    Change(
                        self.subjects.cell(snapshots.KIND, *each.key),
                        snapshots.encode(
                            snapshots.StoredSnapshot(
                                each.snapshot_type, each.json, each.entity_version, sequence
                            )
                        ),
                        None,
                    )
                    for each, sequence in zip(part, sequences, strict=True)
                ]
            )

    async def _sequences_of(self, stored: Sequence[StoredSnapshot]) -> list[int]:
        """Return after which positions the entities' events go on after these snapshots."""
        subjects = [self.partition.subject(*each.key) for each in stored]
        asked = {"multi_last": subjects}
        found = await persevere(
            self.wire, lambda: direct_get(self.wire, self.partition.stream, asked)
        )
        # Most are as of an entity's last event.
        last = {
            each.subject: (decode(each.data).event_id, each.sequence) for each in found.messages
        }
        sequences = []
        for subject, each in zip(subjects, stored, strict=True):
            event_id, sequence = last.get(subject, ("", 0))
            if event_id != each.entity_version:
                sequence = await self._search(subject, each.entity_version)
            sequences.append(sequence)
        return sequences

    async def _search(self, subject: str, version: str) -> int:
        """Return the position of an entity's last event up to a version."""
        history = await self._entities.history(subject)
        return max(
            (sequence for sequence, event in history.events if event.event_id <= version),
            default=0,
        )

    async def _say_more(self, **what: object) -> None:
        with self.told():
            mark = self._mark.mark
            migration = msgspec.structs.replace(mark.migration, **what)
            await self._say(msgspec.structs.replace(mark, migration=migration), self._mark.at)

    async def _say(self, mark: Mark, expected: int) -> None:
        try:
            self._mark = await write_mark(self.cells, self.subjects, mark, expected)
        except Moved:
            raise ServiceUnavailable("storage: another migration is making it") from None


def _parts(records: Sequence[_Record]) -> Iterator[Sequence[_Record]]:
    for start in range(0, len(records), _AT_ONCE):
        yield records[start : start + _AT_ONCE]
