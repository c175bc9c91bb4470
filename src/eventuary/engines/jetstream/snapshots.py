"""Snapshots: the newest of each entity, in a cell that says from where its events go on.

A snapshot is no truth of its own: one that is missing or old makes a load longer, and changes
nothing else. So it is stored after the events that it stands for, not together with them.
"""

import logging

import msgspec

from eventuary.engines.jetstream.catalogue import Catalogue
from eventuary.engines.jetstream.cells import Cells, Change, Moved
from eventuary.engines.jetstream.entities import Entities
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.errors import EventuaryError, NotFound
from eventuary.events import Append, NewSnapshot, Snapshot
from eventuary.seldom import Seldom

_log = logging.getLogger("eventuary.jetstream")

_KIND = "sn"


class StoredSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """A snapshot, and the position of the event that it is as of."""

    snapshot_type: str
    json: str
    entity_version: str
    sequence: int

    @property
    def snapshot(self) -> Snapshot:
        """As its entity shows it."""
        return Snapshot(self.snapshot_type, self.json, self.entity_version)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoredSnapshot).decode


class Snapshots:
    """Stores and finds them."""

    def __init__(
        self, cells: Cells, subjects: Subjects, catalogue: Catalogue, entities: Entities
    ) -> None:
        self._cells = cells
        self._subjects = subjects
        self._catalogue = catalogue
        self._entities = entities
        self._complaints = Seldom()

    async def find(self, space: str, entity_type: str, entity_id: str) -> StoredSnapshot | None:
        """Return an entity's snapshot."""
        if not await self._catalogue.has_snapshots(space, entity_type):
            return None
        found = await self._cells.get(self._subjects.cell(_KIND, space, entity_type, entity_id))
        return None if found is None else _decode(found.data)

    async def keep(
        self, append: Append, entity_id: str, version: str, sequence: int, new: NewSnapshot
    ) -> None:
        """Store the snapshot that came with an append, whose events are stored: it stands."""
        try:
            await self._store(
                append.space,
                append.entity_type,
                entity_id,
                StoredSnapshot(new.snapshot_type, new.json, version, sequence),
            )
        except EventuaryError as error:
            more = self._complaints.due()
            if more is not None:
                _log.warning("a snapshot was not stored, its events were: %s%s", error, more)

    async def store(
        self, space: str, entity_type: str, entity_id: str, version: str, new: NewSnapshot
    ) -> None:
        """Store a snapshot as of a version, unless a newer one is stored.

        Raises NotFound when the entity has no event of this id: its loads would begin nowhere.
        """
        subject = self._subjects.entity(space, entity_type, entity_id)
        known = self._entities.known(subject)
        sequence = known.sequence if known is not None and known.version == version else None
        if sequence is None:
            history = await self._entities.history(subject)
            sequence = next((at for at, event in history.events if event.event_id == version), None)
        if sequence is None:
            raise NotFound(
                f"entityVersion: {entity_type} {entity_id!r} has no event {version} in space "
                f"{space!r}"
            )
        await self._store(
            space,
            entity_type,
            entity_id,
            StoredSnapshot(new.snapshot_type, new.json, version, sequence),
        )

    async def _store(
        self, space: str, entity_type: str, entity_id: str, stored: StoredSnapshot
    ) -> None:
        await self._catalogue.register_snapshots(space, entity_type)
        subject = self._subjects.cell(_KIND, space, entity_type, entity_id)
        while True:
            present = await self._cells.get(subject)
            if present is not None and _decode(present.data).sequence > stored.sequence:
                return
            expected = 0 if present is None else present.sequence
            try:
                await self._cells.put(Change(subject, _encode(stored), expected))
            except Moved:
                continue
            return
