"""What has happened, and because of what: the log, read as it grows.

The store keeps with each event the token of the one that triggered it: (event, subscriber). So
which service did what because of what is not told by anybody, but read.
"""

import time
from base64 import urlsafe_b64decode
from collections.abc import Callable

import msgspec

from eventuary.demo.company import Company

#: Seconds for which the log is waited for at a time.
_WAIT = 0.25


class Recorded(msgspec.Struct, rename="camel"):
    """An event of the log."""

    position: int
    id: str
    entity_type: str
    entity_id: str
    event_type: str
    event_data: str
    triggering_event_token: str | None = None

    @property
    def data(self) -> dict[str, str]:
        """The event's data."""
        data: dict[str, str] = msgspec.json.decode(self.event_data)
        return data

    @property
    def milliseconds(self) -> int:
        """When it was stored, since the epoch: the high half of its id."""
        return int(self.id[:16], 16)


class Cause(msgspec.Struct, frozen=True):
    """The event because of which something was done, and who did it."""

    event_id: str
    subscriber: str


def cause_of(token: str | None) -> Cause | None:
    """Read an event token; None for what no event has triggered."""
    if token is None:
        return None
    event_id, _, subscriber = token.partition(".")
    padded = subscriber + "=" * (-len(subscriber) % 4)
    return Cause(event_id, urlsafe_b64decode(padded).decode())


class Chronicle:
    """All events so far, and the e-mails that were written because of some."""

    def __init__(self, company: Company) -> None:
        self.events: list[Recorded] = []
        self._company = company
        self._position = 0

    def follow(self, until: Callable[[], bool], seconds: float = 30.0) -> bool:
        """Read on until something holds of it; return whether it did in time."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                return False
            page = self._company.log(self._position, _WAIT)
            self._position = page["position"]
            self.events += msgspec.convert(page["events"], list[Recorded])
        return True

    def of(self, entity_id: str) -> list[Recorded]:
        """Return what happened to an entity."""
        return [event for event in self.events if event.entity_id == entity_id]

    def about(self, order_id: str) -> list[Recorded]:
        """Return what happened to an order, and to others for its sake."""
        return [
            event
            for event in self.events
            if event.entity_id == order_id or event.data.get("order_id") == order_id
        ]

    def count(self, entity_id: str, *event_types: str) -> int:
        """Return how often something of these types happened to an entity."""
        return sum(event.event_type in event_types for event in self.of(entity_id))

    def orders_of(self, customer_id: str) -> list[str]:
        """Return the ids of a customer's orders, sorted."""
        return sorted(
            event.entity_id
            for event in self.events
            if event.event_type == "OrderCreated" and event.data["customer_id"] == customer_id
        )

    def emails(self) -> list[Cause]:
        """Return why each e-mail in the outbox was written: its name is the token of that."""
        causes = (cause_of(path.stem) for path in self._company.outbox.glob("*.eml"))
        return [cause for cause in causes if cause is not None]

    def emails_about(self, order_id: str) -> int:
        """Return how many e-mails tell of what happened to an order."""
        happened = {event.id for event in self.of(order_id)}
        return sum(cause.event_id in happened for cause in self.emails())
