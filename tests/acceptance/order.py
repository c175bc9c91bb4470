"""The law of delivery, as a judge: everything at least once, an entity's events never skipped.

A redelivery is a rewind: it may go back to an event seen before, and from there on, in order;
it may never jump over one that has not been seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Delivery(NamedTuple):
    """One event as one subscriber got it."""

    entity_id: str
    event_id: str


def check_order(
    deliveries: Iterable[Delivery], stored: Mapping[str, Sequence[str]], *, hint: str = ""
) -> None:
    """Nothing that was not stored, and nothing before what precedes it in its entity."""
    places = {
        (entity_id, event_id): place
        for entity_id, events in stored.items()
        for place, event_id in enumerate(events)
    }
    seen = dict.fromkeys(stored, -1)
    for delivery in deliveries:
        place = places.get((delivery.entity_id, delivery.event_id))
        assert place is not None, f"{hint}: {delivery} was delivered and is not stored"
        highest = seen[delivery.entity_id]
        assert place <= highest + 1, (
            f"{hint}: {delivery}, event {place} of its entity, came after event {highest}"
        )
        seen[delivery.entity_id] = max(highest, place)


def missing(deliveries: Iterable[Delivery], stored: Mapping[str, Sequence[str]]) -> set[Delivery]:
    """Return what has not been delivered yet."""
    wanted = {
        Delivery(entity_id, event_id) for entity_id, events in stored.items() for event_id in events
    }
    return wanted.difference(deliveries)
