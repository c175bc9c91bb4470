"""Whether what is stored is what a call wrote whose answer was lost.

It is if the events that follow the version it was decided on are the call's events, by type, data
and metadata. An entity id that was generated for the call, and a triggering event, make that
certain. Without them it is as certain as the events are: of two writers who append equal events at
one version, one whose answer was lost may take the other's append for its own. An id of the command
in the events' metadata rules that out; the framework's repository puts one there.
"""

from collections.abc import Sequence

from eventuary.events import Appended, EntityEvent, NewEvent


def own_append(
    entity_id: str, events: Sequence[NewEvent], stored: Sequence[EntityEvent]
) -> Appended | None:
    """Return the outcome of the append that ``stored`` begins with; None: it is another's.

    ``stored``: the entity's events after the version that the append expected.
    """
    if len(stored) < len(events):
        return None
    ours = stored[: len(events)]
    for event, found in zip(events, ours, strict=True):
        if (event.event_type, event.event_data, event.metadata) != (
            found.event_type,
            found.event_data,
            found.metadata,
        ):
            return None
    ids = [event.id for event in ours]
    return Appended(entity_id, ids[-1], ids)
