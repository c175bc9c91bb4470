"""What outside systems were told, and are not told again: kept in the event store itself.

Each call is an entity of its own, created once the other side has said yes; its id follows from
the event, the subscriber and the system. The one window: from a call going out until its record is
on disk, nobody else knows of it. If in between the process is killed, the answer is lost, or the
event goes to another process, the call is made again, under the same key.
"""

from contextlib import suppress

from eventuary.event_store import EventStore
from eventuary.framework.aggregate import Aggregate, apply
from eventuary.framework.event import Event
from eventuary.framework.not_found import AggregateNotFound
from eventuary.framework.outside_system import OutsideCall, OutsideSystem
from eventuary.framework.repository import Repository
from eventuary.framework.trigger import Trigger

#: Characters of a receipt that are kept.
_RECEIPT = 1000


class OutsideCallEvent(Event, entity="eventuary.OutsideCall"):
    """The family of what happens to a call."""


class OutsideCallMade(OutsideCallEvent):
    """A system has said yes: nothing is left to do."""

    system: str
    key: str
    #: What it gave in return: a message's id, say.
    receipt: str | None = None


class _Record(Aggregate):
    receipt: str | None

    @apply
    def _made(self, event: OutsideCallMade) -> None:
        self.receipt = event.receipt


class OutsideCalls:
    """The calls that a subscriber's handlers make."""

    def __init__(self, store: EventStore, space: str) -> None:
        self._records = Repository(store, _Record, space=space, cache=0)
        #: Receipts of calls that were made, and whose records could not be stored: this process
        #: knows better than to make them again.
        self._unrecorded: dict[str, str | None] = {}

    async def make(
        self, system: OutsideSystem, call: OutsideCall, name: str, trigger: Trigger
    ) -> str | None:
        """Make a call, unless it was made before; return its receipt.

        Raises what ``OutsideSystem.call`` does, and ServiceUnavailable.
        """
        record = trigger.new_entity_id(f"eventuary.OutsideCall\0{system.name}\0{name}")
        key = f"{trigger.token}.{name}" if name else trigger.token
        if record not in self._unrecorded:
            with suppress(AggregateNotFound):
                return (await self._records.load(record)).receipt
            receipt = await system.call(key, call)
            # Whatever it is, it is kept: the call must not be made again because it is no text.
            self._unrecorded[record] = None if receipt is None else str(receipt)[:_RECEIPT]
        made = OutsideCallMade(system.name, key, self._unrecorded[record])
        saved = await self._records.because_of(trigger).save(made, entity_id=record)
        self._unrecorded.pop(record, None)
        return saved.receipt
