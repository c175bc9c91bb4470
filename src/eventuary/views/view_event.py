"""ViewEvent: an event on its way into a view, with the updates that it leads to."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from eventuary.framework.event import AnyEvent
from eventuary.views.view_context import ViewContext

_U = TypeVar("_U")
_U_co = TypeVar("_U_co", covariant=True)


class ViewEvent(Generic[_U_co]):
    """``position`` grows within a swimlane: by it what was applied is told from what was not."""

    __slots__ = ("context", "event", "position", "swimlane", "updates")

    def __init__(
        self,
        swimlane: int,
        position: int,
        event: AnyEvent,
        context: ViewContext,
        updates: Sequence[_U_co],
    ) -> None:
        self.swimlane = swimlane
        self.position = position
        self.event = event
        self.context = context
        self.updates = updates


class UpdateFailed(Exception):
    """The event at a position could not be applied: nothing of its group was changed.

    The text says what is wrong. The event comes again after a pause; in the end it is a dead
    letter.
    """

    def __init__(self, swimlane: int, position: int, reason: BaseException | str) -> None:
        super().__init__(
            reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
        )
        self.swimlane = swimlane
        self.position = position

    @classmethod
    def of(cls, event: ViewEvent[_U], reason: BaseException | str) -> "UpdateFailed":
        """Return the failure of an event."""
        return cls(event.swimlane, event.position, reason)
