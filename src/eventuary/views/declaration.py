"""What a view declares besides where it is kept: its name, and which events change it, and how."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.framework.encryption import Encryption
from eventuary.framework.event import AnyEvent
from eventuary.framework.event_codec import EventCodec
from eventuary.views.generation import Generation
from eventuary.views.names import check_view_name

_U = TypeVar("_U")

#: Delivery to a view, unless it says otherwise: much at once, because it is applied in groups, and
#: time enough for a database that is down for hours: no event becomes a dead letter by that.
VIEW_DELIVERY = DeliveryPolicy(window=1000, ack_timeout=86_400.0)


class Declaration(Generic[_U]):
    """``policy`` must wait at dead letters: what follows may depend on them."""

    def __init__(
        self,
        name: str,
        space: str,
        policy: DeliveryPolicy | None,
        encryption: Encryption | None,
    ) -> None:
        check_view_name(name)
        self.name = name
        self.space = space
        self.policy = policy or VIEW_DELIVERY
        if self.policy.on_dead_letter is not OnDeadLetter.WAIT:
            raise ValueError(
                f"view {name!r}: policy: on_dead_letter is {self.policy.on_dead_letter.value!r}; a "
                "view waits, because what comes behind a dead letter may depend on it"
            )
        self.encryption = encryption
        self.updates: dict[type[AnyEvent], list[_U]] = {}

    def add(self, event_classes: Sequence[type[AnyEvent]], update: _U) -> None:
        """Let events of these types lead to an update."""
        for event_class in event_classes:
            self.updates.setdefault(event_class, []).append(update)

    def codec(self) -> EventCodec:
        """Return what decodes the events that change the view. Raises TypeError for none."""
        if not self.updates:
            raise TypeError(
                f"view {self.name!r} is changed by no event: declare it with .on(SomeEvent)"
            )
        return EventCodec(self.updates)

    def subscriber_id(self, generation: Generation) -> str:
        """Return the name of the subscription that feeds a generation.

        It is not that of another storage's: one that was dropped, and is filled anew, say.
        """
        return f"{self.name}.{generation.number}-{generation.tag}"


class ViewStatus(msgspec.Struct, frozen=True):
    """Where a view stands."""

    view: str
    #: The generation that is read.
    generation: int
    #: Events that it has not applied yet; counted up to a million.
    lag: int
    #: Events that it could not apply, at which it waits.
    dead_letters: int
    #: Processes that feed it; 0: it does not change.
    processes: int
    #: The generation that a rebuild fills, and how many events that lacks; None: there is no
    #: rebuild, or nothing of it has begun.
    building: int | None = None
    building_lag: int | None = None
