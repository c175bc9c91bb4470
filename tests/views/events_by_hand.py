"""Events as a view's storage gets them, made by hand."""

from eventuary import Event
from eventuary.events import LogEvent
from eventuary.views import View, ViewContext
from eventuary.views.collection import DocumentUpdate
from eventuary.views.view_event import ViewEvent

#: When the event at position 0 was stored, in milliseconds since the epoch.
BEGINNING = 1_700_000_000_000


def view_event(
    view: View, position: int, event: Event, entity_id: str, *, swimlane: int = 0
) -> ViewEvent[DocumentUpdate]:
    """Return an event; it was stored ``position`` milliseconds after the beginning."""
    type_ = event.__event__.type
    stored = LogEvent(
        position=position,
        event_id=f"{BEGINNING + position:016x}-0000000000000000",
        space="default",
        entity_type=type_.entity_type,
        entity_id=entity_id,
        event_type=type_.event_type,
        event_data="",
        metadata=None,
        swimlane=swimlane,
        triggering_event_token=None,
    )
    updates = view.declaration.updates[type(event)]
    return ViewEvent(swimlane, position, event, ViewContext(stored), updates)
