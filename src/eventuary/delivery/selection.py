"""Which events a subscription wants: event types of entity types, in one space."""

from collections.abc import Mapping, Sequence

import msgspec

from eventuary.events import EventType


class Selection(msgspec.Struct, frozen=True):
    """The types as a set for choosing, and as named for showing and storing."""

    by_entity_type: dict[str, list[str]]
    types: frozenset[EventType]

    @classmethod
    def of(cls, by_entity_type: Mapping[str, Sequence[str]]) -> "Selection":
        """Return the selection of these event types by entity type."""
        return cls(
            {entity_type: sorted(set(names)) for entity_type, names in by_entity_type.items()},
            frozenset(
                EventType(entity_type, name)
                for entity_type, names in by_entity_type.items()
                for name in names
            ),
        )
