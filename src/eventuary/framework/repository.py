"""Repository: aggregates from their events, and commands' decisions to the store.

    orders = Repository(store, Order)
    order = await orders.save(Order.create(customer_id, total))
    order = await orders.update(order.id, Order.approve)

An update loads, decides, applies, appends; when somebody else appended first it does so again on
the fresh state. Events are applied before they are stored: what can't be applied is never stored.
"""

import asyncio
import copy
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar

import msgspec

from eventuary.errors import (
    BadRequest,
    DuplicateEvent,
    EntityExists,
    OptimisticLockError,
)
from eventuary.event_store import EventStore
from eventuary.events import DEFAULT_SPACE, Appended, NewEvent
from eventuary.framework.aggregate import Aggregate, Decision, decided, fold
from eventuary.framework.aggregate_cache import AggregateCache, copied
from eventuary.framework.background_snapshots import BackgroundSnapshots
from eventuary.framework.encryption import Encryption, EntityCipher
from eventuary.framework.entity_turns import EntityTurns
from eventuary.framework.event import AnyEvent
from eventuary.framework.key_store import EntityName
from eventuary.framework.loading import AggregateLoader, Loaded, identify
from eventuary.framework.metadata import current_metadata
from eventuary.framework.not_found import EntityForgotten
from eventuary.framework.recorded import RecordedEvent
from eventuary.framework.retries import Retries
from eventuary.framework.snapshot_strategy import SnapshotStrategy
from eventuary.framework.snapshots import StateCodec
from eventuary.framework.tracing import traced_call
from eventuary.framework.trigger import Trigger
from eventuary.ids import IdGenerator, new_node_number

_A = TypeVar("_A", bound=Aggregate)
_P = ParamSpec("_P")

#: Aggregates kept in memory by a repository unless told otherwise.
_CACHED = 1000


class Repository(Generic[_A]):
    """One kind of aggregate in one space. Make it once; it may be used by any number of tasks.

    ``retries``: how conflicts are retried. ``snapshots``: when one is taken; None: as the aggregate
    class says, which is never unless it does.
    ``cache``: how many aggregates are kept in memory; 0 turns that off. ``encryption``: what is
    stored from now on is encrypted; then all methods also raise EntityForgotten.
    Raises TypeError for an aggregate class that applies nothing.
    """

    def __init__(
        self,
        store: EventStore,
        aggregate_type: type[_A],
        *,
        space: str = DEFAULT_SPACE,
        retries: Retries | None = None,
        snapshots: SnapshotStrategy | None = None,
        cache: int = _CACHED,
        encryption: Encryption | None = None,
    ) -> None:
        if not aggregate_type.__appliers__:
            raise TypeError(
                f"{aggregate_type.__name__} has no @apply method: it could have no state"
            )
        self.aggregate_type = aggregate_type
        self.entity_type = aggregate_type.__entity_type__
        self.space = space
        self._store = store
        self._codec = aggregate_type.__codec__
        self._retries = retries or Retries()
        snapshots = snapshots or aggregate_type.__snapshots__
        self._snapshots = snapshots
        states = StateCodec(aggregate_type, snapshots.version) if snapshots else None
        self._background = (
            None if states is None else BackgroundSnapshots(store, space, self.entity_type, states)
        )
        self._loader = AggregateLoader(store, aggregate_type, space, states)
        self._cache: AggregateCache[_A] = AggregateCache(cache)
        self._turns = EntityTurns()
        self._encryption = encryption
        self._ids = IdGenerator(new_node_number())
        self._trigger: Trigger | None = None

    def because_of(self, trigger: Trigger) -> Self:
        """Return this repository for what an event triggers: it is applied once to an entity.

        What it stores records the event, and goes on with its correlation.
        """
        triggered = copy.copy(self)
        triggered._trigger = trigger
        return triggered

    # ── Writing ───────────────────────────────────────────────────────────────────────────────

    async def save(self, decision: Decision, *, entity_id: str | None = None) -> _A:
        """Create an entity with the events that a creating command has returned.

        ``entity_id``: the application's own; None: one is made. What is triggered by an event is
        created once, however often the event comes.
        Raises BadRequest (no events), EntityExists, ServiceUnavailable.
        """
        with traced_call("save", self.entity_type, entity_id) as span:
            saved = await self._save(decision, entity_id)
            span.identify(saved.id)
            return saved

    async def _save(self, decision: Decision, entity_id: str | None) -> _A:
        events = decided(decision)
        if not events:
            raise BadRequest(
                f"events: is empty; the command that creates a {self.aggregate_type.__name__} "
                "returned none"
            )
        trigger = self._trigger
        if trigger is not None and entity_id is None:
            entity_id = trigger.new_entity_id(self.entity_type)
        aggregate = fold(self.aggregate_type(), events)
        new = self._encoded(events)
        cipher: EntityCipher | None = None
        if self._encryption is not None:
            entity_id = entity_id or self._ids.next_id()  # the key comes first
            cipher = self._encryption.new_cipher(self._name(entity_id))
            new = await cipher.encrypt(new)
        try:
            appended = await self._store.create(
                self.space,
                self.entity_type,
                new,
                entity_id=entity_id,
                triggering_event_token=self._token,
            )
        except EntityExists:
            if entity_id is not None and await self._was_applied_to(entity_id):
                return await self.load(entity_id)
            raise
        loaded = Loaded(aggregate, 0, 0)
        self._note(loaded, new, appended)
        self._cache.put(loaded)
        return self._stored(loaded, cipher)

    async def update(
        self,
        entity_id: str,
        command: Callable[Concatenate[_A, _P], Decision],
        *arguments: _P.args,
        **keywords: _P.kwargs,
    ) -> _A:
        """Let a command decide on an entity's state, append what it returns, return the new state.

        A command that returns nothing appends nothing. One whose trigger was applied before is not
        applied again. Whatever the command raises is raised. Raises AggregateNotFound, and
        OptimisticLockError when others were faster in all attempts.
        """
        with traced_call("update", self.entity_type, entity_id):
            return await self._update(
                entity_id, lambda aggregate: command(aggregate, *arguments, **keywords)
            )

    async def _update(self, entity_id: str, command: Callable[[_A], Decision]) -> _A:
        pauses = self._retries.pauses()
        async with self._turns.turn(entity_id):
            cipher = await self._cipher(entity_id)
            while True:
                try:
                    return await self._update_once(entity_id, cipher, command)
                except OptimisticLockError:
                    self._cache.forget(entity_id)
                    pause = next(pauses, None)
                    if pause is None:
                        raise
                    await asyncio.sleep(pause)
                except DuplicateEvent:
                    self._cache.forget(entity_id)
                    return (await self._loader.load(entity_id, cipher)).aggregate

    async def _update_once(
        self, entity_id: str, cipher: EntityCipher | None, command: Callable[[_A], Decision]
    ) -> _A:
        """Decide, append. Raises OptimisticLockError; DuplicateEvent if the trigger was applied."""
        loaded, events = await self._decide(entity_id, cipher, command)
        aggregate = loaded.aggregate
        if not events:
            return aggregate
        version = aggregate.version
        loaded.aggregate = fold(aggregate, events)
        new = self._encoded(events)
        if cipher is not None:
            new = await cipher.encrypt(new)
        appended = await self._store.append(
            self.space,
            self.entity_type,
            entity_id,
            version,
            new,
            triggering_event_token=self._token,
        )
        self._note(loaded, new, appended)
        self._cache.advance(loaded, version, events)
        return self._stored(loaded, cipher)

    # ── Reading ───────────────────────────────────────────────────────────────────────────────

    async def load(self, entity_id: str, *, at: str | datetime | None = None) -> _A:
        """Return an entity's state: the present one, or that ``at`` a version or a time.

        A time without a zone is local. Raises AggregateNotFound.
        """
        with traced_call("load", self.entity_type, entity_id):
            return await self._load_as_of(entity_id, at)

    async def _load_as_of(self, entity_id: str, at: str | datetime | None) -> _A:
        cipher = await self._cipher(entity_id)
        if at is not None:
            return await self._loader.load_past(entity_id, at, cipher)
        cached = self._cache.get(entity_id)
        if cached is None:
            loaded = await self._loader.load(entity_id, cipher)
        elif (loaded := await self._loader.bring_up_to_date(cached, cipher)) is cached:
            return cached.aggregate
        self._cache.put(loaded)
        return loaded.aggregate

    async def exists(self, entity_id: str) -> bool:
        """Whether there is an entity of this id, and it was not forgotten."""
        try:
            await self._cipher(entity_id)
        except EntityForgotten:
            return False
        if self._cache.peek(entity_id) is not None:
            return True  # entities are never deleted
        entity = await self._store.load(self.space, self.entity_type, entity_id)
        return bool(entity.events) or entity.snapshot is not None

    async def history(self, entity_id: str) -> list[RecordedEvent[AnyEvent]]:
        """Return all that happened to an entity, oldest first. Raises AggregateNotFound."""
        return await self._loader.history(entity_id, await self._cipher(entity_id))

    async def settle(self) -> None:
        """Return when the snapshots that are being taken are stored."""
        if self._background is not None:
            await self._background.settle()

    # ── How ───────────────────────────────────────────────────────────────────────────────────

    @property
    def _token(self) -> str | None:
        return None if self._trigger is None else self._trigger.token

    def _name(self, entity_id: str) -> EntityName:
        return EntityName(self.space, self.entity_type, entity_id)

    async def _cipher(self, entity_id: str) -> EntityCipher | None:
        """Look up, once a call, what encrypts. Raises EntityForgotten, whatever the cache has."""
        if self._encryption is None:
            return None
        try:
            return await self._encryption.cipher(self._name(entity_id))
        except EntityForgotten:
            self._cache.forget(entity_id)
            raise

    async def _load(self, entity_id: str, cipher: EntityCipher | None) -> Loaded[_A]:
        """Load for an update. Raises DuplicateEvent when the trigger was applied already."""
        loaded = await self._loader.load(entity_id, cipher, token=self._token)
        self._cache.put(loaded)
        return loaded

    async def _decide(
        self, entity_id: str, cipher: EntityCipher | None, command: Callable[[_A], Decision]
    ) -> tuple[Loaded[_A], Sequence[AnyEvent]]:
        """Let a command decide; where it decides for nothing, on the present state.

        Nothing is appended then, so no version check would tell that the state was an old one. The
        command is shown a copy: whatever it does to it goes nowhere.
        """
        cached = self._cache.get(entity_id)
        if cached is not None:
            try:
                events = decided(command(copied(cached.aggregate)))
            except Exception:  # noqa: BLE001 - the present state may not lead to it
                events = ()
            if events:
                return cached, events
        if cached is None or self._trigger is not None:
            # What was triggered may be refused because it was applied: the load tells.
            loaded = await self._load(entity_id, cipher)
        else:
            loaded = await self._loader.bring_up_to_date(cached, cipher)
            self._cache.put(loaded)
        return loaded, decided(command(copied(loaded.aggregate)))

    async def _was_applied_to(self, entity_id: str) -> bool:
        if self._trigger is None:
            return False
        try:
            await self._store.load(
                self.space, self.entity_type, entity_id, triggering_event_token=self._token
            )
        except DuplicateEvent:
            return True
        return False

    def _encoded(self, events: Sequence[AnyEvent]) -> list[NewEvent]:
        carried = current_metadata()
        trigger = self._trigger
        if trigger is None:
            return self._codec.encode(events, carried, self._ids.next_id())
        if carried.correlation_id is None:
            carried = msgspec.structs.replace(carried, correlation_id=trigger.correlation_id)
        return self._codec.encode(events, carried)

    def _note(self, loaded: Loaded[_A], new: Sequence[NewEvent], appended: Appended) -> None:
        """Note what is on disk now."""
        identify(loaded.aggregate, appended.entity_id, appended.entity_version)
        loaded.events += len(new)
        loaded.characters += sum(len(event.event_data) for event in new)

    def _stored(self, loaded: Loaded[_A], cipher: EntityCipher | None) -> _A:
        """Take a snapshot beside everything else, if one is due."""
        aggregate = loaded.aggregate
        if (
            self._snapshots is not None
            and self._background is not None
            and self._snapshots.due(loaded.events, loaded.characters)
        ):
            self._cache.begin_count(aggregate.id)
            self._background.take(aggregate.id, cipher, self._untouched)
        return aggregate

    async def _untouched(self, entity_id: str, cipher: EntityCipher | None) -> _A:
        """Return a state that no command, and no caller, has had in hands."""
        kept = self._cache.peek(entity_id)
        return (kept or await self._loader.load(entity_id, cipher)).aggregate
