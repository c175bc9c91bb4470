"""Loading: an aggregate from its snapshot, if that is of use, and the events after it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, TypeVar

from eventuary.errors import EventuaryError
from eventuary.event_store import EventStore
from eventuary.events import EntityEvent, Snapshot
from eventuary.framework.aggregate import Aggregate, UnknownEvents, fold
from eventuary.framework.encrypted_text import is_encrypted
from eventuary.framework.encryption import EntityCipher
from eventuary.framework.event import AnyEvent
from eventuary.framework.metadata import decode_metadata
from eventuary.framework.not_found import AggregateNotFound
from eventuary.framework.recorded import RecordedEvent, time_of
from eventuary.framework.snapshots import StateCodec
from eventuary.ids import parse_id

_A = TypeVar("_A", bound=Aggregate)


class UnknownEvent(EventuaryError):
    """An entity has an event that its aggregate does not apply, and may not skip."""

    code = "unknown_event"
    status = 500


class Loaded(Generic[_A]):
    """An aggregate, and what a load of it would have to read beyond its snapshot."""

    __slots__ = ("aggregate", "characters", "events")

    def __init__(self, aggregate: _A, events: int, characters: int) -> None:
        self.aggregate = aggregate
        self.events = events
        self.characters = characters


class AggregateLoader(Generic[_A]):
    """Reads one kind of aggregate in one space. ``states``: None: snapshots are ignored.

    ``cipher``: what decrypts the entity that is read; None: nothing is encrypted.
    """

    def __init__(
        self,
        store: EventStore,
        aggregate_type: type[_A],
        space: str,
        states: StateCodec[_A] | None,
    ) -> None:
        self._store = store
        self._aggregate_type = aggregate_type
        self._entity_type = aggregate_type.__entity_type__
        self._codec = aggregate_type.__codec__
        self._space = space
        self._states = states

    async def load(
        self, entity_id: str, cipher: EntityCipher | None, *, token: str | None = None
    ) -> Loaded[_A]:
        """Load an entity. Raises AggregateNotFound; DuplicateEvent when the token was applied."""
        entity = await self._store.load(
            self._space, self._entity_type, entity_id, triggering_event_token=token
        )
        if entity.snapshot is None:
            if not entity.events:
                raise self._not_found(entity_id)
            return self._add(self._empty(), entity_id, cipher, entity.events)
        aggregate = self._restored(entity_id, entity.snapshot, cipher)
        if aggregate is None:  # of a shape that the class no longer has
            stored = await self._store.history(self._space, self._entity_type, entity_id)
            return self._add(self._empty(), entity_id, cipher, stored)
        return self._add(Loaded(aggregate, 0, 0), entity_id, cipher, entity.events)

    async def bring_up_to_date(self, loaded: Loaded[_A], cipher: EntityCipher | None) -> Loaded[_A]:
        """Return it with what was stored since; itself when that is nothing."""
        aggregate = loaded.aggregate
        later = await self._store.history(
            self._space, self._entity_type, aggregate.id, after=aggregate.version
        )
        return self._add(loaded, aggregate.id, cipher, later) if later else loaded

    async def load_past(
        self, entity_id: str, at: str | datetime, cipher: EntityCipher | None
    ) -> _A:
        """Return what an entity was at a version, or a time. Raises AggregateNotFound."""
        stored = await self._store.history(self._space, self._entity_type, entity_id)
        if isinstance(at, str):
            version = parse_id(at, "at")
            past = [each for each in stored if each.id <= version]
            if not past or past[-1].id != version:
                raise AggregateNotFound(
                    f"at: {self._entity_type} {entity_id!r} was never at version {version}"
                )
        else:
            time = at.astimezone()
            past = [each for each in stored if time_of(each.id) <= time]
            if not past:
                raise AggregateNotFound(
                    f"at: {self._entity_type} {entity_id!r} did not exist at {at.isoformat()}"
                )
        return self._add(self._empty(), entity_id, cipher, past).aggregate

    async def history(
        self, entity_id: str, cipher: EntityCipher | None
    ) -> list[RecordedEvent[AnyEvent]]:
        """Return an entity's events. Raises AggregateNotFound."""
        stored = await self._store.history(self._space, self._entity_type, entity_id)
        if not stored:
            raise self._not_found(entity_id)
        return [
            RecordedEvent(event, each.id, decode_metadata(each.metadata))
            for each in stored
            if (event := self._decoded(entity_id, cipher, each)) is not None
        ]

    def _empty(self) -> Loaded[_A]:
        return Loaded(self._aggregate_type(), 0, 0)

    def _restored(
        self, entity_id: str, snapshot: Snapshot, cipher: EntityCipher | None
    ) -> _A | None:
        if cipher is not None:
            snapshot = cipher.decrypt_snapshot(snapshot)
        elif is_encrypted(snapshot.json):
            return None
        aggregate = None if self._states is None else self._states.decode(snapshot)
        if aggregate is not None:
            identify(aggregate, entity_id, snapshot.entity_version)
        return aggregate

    def _add(
        self,
        loaded: Loaded[_A],
        entity_id: str,
        cipher: EntityCipher | None,
        stored: Sequence[EntityEvent],
    ) -> Loaded[_A]:
        """Return the aggregate with stored events applied."""
        if not stored:
            return loaded
        aggregate = fold(
            loaded.aggregate,
            [
                event
                for each in stored
                if (event := self._decoded(entity_id, cipher, each)) is not None
            ],
        )
        identify(aggregate, entity_id, stored[-1].id)
        return Loaded(
            aggregate,
            loaded.events + len(stored),
            loaded.characters + sum([len(each.event_data) for each in stored]),
        )

    def _decoded(
        self, entity_id: str, cipher: EntityCipher | None, stored: EntityEvent
    ) -> AnyEvent | None:
        data = stored.event_data
        if cipher is not None:
            data = cipher.decrypt(stored.event_type, data)
        event = self._codec.decode(self._entity_type, stored.event_type, data, stored.metadata)
        if event is None and self._aggregate_type.__unknown_events__ is UnknownEvents.REFUSE:
            raise UnknownEvent(
                f"{self._entity_type} {entity_id!r} has an event {stored.id} of type "
                f"{stored.event_type!r}, which {self._aggregate_type.__name__} does not apply; if "
                "it means nothing here, say unknown_events=UnknownEvents.SKIP"
            )
        return event

    def _not_found(self, entity_id: str) -> AggregateNotFound:
        return AggregateNotFound(
            f"there is no {self._entity_type} {entity_id!r} in space {self._space!r}"
        )


def identify(aggregate: Aggregate, entity_id: str, version: str) -> None:
    """Tell an aggregate who it is; it may be frozen."""
    object.__setattr__(aggregate, "id", entity_id)
    object.__setattr__(aggregate, "version", version)
