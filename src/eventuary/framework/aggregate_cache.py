"""The aggregates that were used last, so that an update need not read what it has just written.

An entry may be old: the append's version check tells, and the entry is dropped. What is in here is
handed out as copies, never itself, and goes on by events alone: whatever a command or a caller does
to a copy stays with the copy.
"""

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

from eventuary.framework.aggregate import Aggregate, fold
from eventuary.framework.event import AnyEvent
from eventuary.framework.loading import Loaded, identify

_A = TypeVar("_A", bound=Aggregate)


class AggregateCache(Generic[_A]):
    """At most ``capacity`` entries, by entity id; the one that was used longest ago goes first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[str, Loaded[_A]] = OrderedDict()

    def get(self, entity_id: str) -> Loaded[_A] | None:
        """Return a copy of an entry."""
        entry = self._entries.get(entity_id)
        if entry is None:
            return None
        self._entries.move_to_end(entity_id)
        return _copy(entry)

    def peek(self, entity_id: str) -> Loaded[_A] | None:
        """Return an entry itself: to be looked at, not changed, and not kept."""
        return self._entries.get(entity_id)

    def put(self, loaded: Loaded[_A]) -> None:
        """Keep a copy, unless what is there is newer."""
        if self._capacity == 0:
            return
        entity_id = loaded.aggregate.id
        present = self._entries.get(entity_id)
        if present is not None and present.aggregate.version > loaded.aggregate.version:
            return
        self._entries[entity_id] = _copy(loaded)
        self._entries.move_to_end(entity_id)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def advance(self, loaded: Loaded[_A], version: str, events: Sequence[AnyEvent]) -> None:
        """Apply to an entry, if it is at ``version``, the events that were stored after that.

        ``loaded``: what a command decided on, with them applied.
        """
        aggregate = loaded.aggregate
        entry = self._entries.get(aggregate.id)
        if entry is None or entry.aggregate.version != version:
            return  # dropped meanwhile, or newer; were it older, the next append would tell
        del self._entries[aggregate.id]  # it stays away should applying fail
        entry.aggregate = fold(entry.aggregate, events)
        identify(entry.aggregate, aggregate.id, aggregate.version)
        entry.events, entry.characters = loaded.events, loaded.characters
        self._entries[aggregate.id] = entry

    def begin_count(self, entity_id: str) -> None:
        """A snapshot is being taken: what a load would have to read begins there."""
        entry = self._entries.get(entity_id)
        if entry is not None:
            entry.events = entry.characters = 0

    def forget(self, entity_id: str) -> None:
        """Drop an entry that turned out to be old."""
        self._entries.pop(entity_id, None)


def _copy(loaded: Loaded[_A]) -> Loaded[_A]:
    return Loaded(copied(loaded.aggregate), loaded.events, loaded.characters)


def copied(aggregate: _A) -> _A:
    """Return an aggregate that nobody else has, so that events can be applied to it."""
    parameters = getattr(aggregate, "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        # Applying returns another one; only id and version are set on this.
        return copy.copy(aggregate)
    return copy.deepcopy(aggregate)
