"""The aggregates that were used last, so that an update need not read what it has just written.

An entry may be old: the append's version check tells, and the entry is dropped. What is in here is
handed out as copies, never itself: applying events changes an aggregate.
"""

import copy
from collections import OrderedDict
from typing import Generic, TypeVar

from eventuary.framework.aggregate import Aggregate
from eventuary.framework.loading import Loaded

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

    def forget(self, entity_id: str) -> None:
        """Drop an entry that turned out to be old."""
        self._entries.pop(entity_id, None)


def _copy(loaded: Loaded[_A]) -> Loaded[_A]:
    """Return an aggregate that nobody else has, so that events can be applied to it."""
    aggregate = loaded.aggregate
    parameters = getattr(aggregate, "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        # Applying returns another one; only id and version are set on this.
        return Loaded(copy.copy(aggregate), loaded.events, loaded.characters)
    return Loaded(copy.deepcopy(aggregate), loaded.events, loaded.characters)
