"""Faults: an event store that does to its users all that a real one may do to them.

    store = Faults(memory_store(), seed=7, redeliver=True, reorder=True)
    async with store, running(store, customers, orders) as run: ...

``redeliver``: events come again after they were handled, as after a lost acknowledgement.
``reorder``: events of different entities come in any order. Both keep the order of each entity's
events, as every store does, so a correct handler does not mind. ``crash_at``: see ``every_crash``.
"""

import random
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from eventuary.delivery.consumer import AckMode, Consumer, Receiver
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.delivery.status import SubscriptionStatus
from eventuary.errors import BadRequest
from eventuary.event_store import Durability, EventStore, ReadFrom
from eventuary.events import Appended, Entity, EntityEvent, NewEvent, NewSnapshot
from eventuary.testing.crash import Process
from eventuary.testing.faulty_delivery import FaultyDelivery


class Faults:
    """Satisfies ``EventStore``. All that goes through one of these is one process, as crashes go.

    ``seed``: of all that happens by chance; the same seed makes the same choices.
    Delivery is by individual acknowledgement, as the framework's subscribers have it.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        seed: int = 0,
        redeliver: bool = False,
        reorder: bool = False,
    ) -> None:
        self._store = store
        self._chance = random.Random(seed)
        self._redeliver = redeliver
        self._reorder = reorder
        self._writes = 0
        #: The process that crashes.
        self.process = Process()

    @property
    def head(self) -> int:
        """How many appends have been stored through this."""
        return self._writes

    @property
    def steps(self) -> Sequence[str]:
        """The boundaries that were passed so far: what a crash could come between."""
        return self.process.steps

    @property
    def crashed(self) -> bool:
        """Whether the process has crashed."""
        return self.process.dead

    def crash_at(self, step: int | None) -> None:
        """Crash at a boundary: the first is 1. Call it before that is reached.

        From then on no call returns, nothing is delivered, and no acknowledgement is heard.
        """
        self.process.crash_at(step)

    async def __aenter__(self) -> Self:
        """Open the store."""
        await self._store.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the store."""
        await self._store.__aexit__(kind, error, trace)
        self.process.bury()

    async def create(
        self,
        space: str,
        entity_type: str,
        events: Sequence[NewEvent],
        *,
        entity_id: str | None = None,
        triggering_event_token: str | None = None,
    ) -> Appended:
        """Create an entity."""
        what = f"creation of {entity_type} {entity_id or '(new)'} by {_names(events)}"
        await self.process.live_through(f"before the {what}")
        appended = await self._store.create(
            space,
            entity_type,
            events,
            entity_id=entity_id,
            triggering_event_token=triggering_event_token,
        )
        self._writes += 1
        await self.process.live_through(f"after the {what}, which nobody was told of")
        return appended

    async def append(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        events: Sequence[NewEvent],
        *,
        triggering_event_token: str | None = None,
        snapshot: NewSnapshot | None = None,
    ) -> Appended:
        """Append to an entity."""
        what = f"append of {_names(events)} to {entity_type} {entity_id}"
        await self.process.live_through(f"before the {what}")
        appended = await self._store.append(
            space,
            entity_type,
            entity_id,
            entity_version,
            events,
            triggering_event_token=triggering_event_token,
            snapshot=snapshot,
        )
        self._writes += 1
        await self.process.live_through(f"after the {what}, which nobody was told of")
        return appended

    async def load(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        *,
        triggering_event_token: str | None = None,
    ) -> Entity:
        """Read an entity."""
        if self.process.dead:
            await self.process.stay()
        return await self._store.load(
            space, entity_type, entity_id, triggering_event_token=triggering_event_token
        )

    async def history(
        self, space: str, entity_type: str, entity_id: str, *, after: str | None = None
    ) -> list[EntityEvent]:
        """Read an entity's events."""
        if self.process.dead:
            await self.process.stay()
        return await self._store.history(space, entity_type, entity_id, after=after)

    async def store_snapshot(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        snapshot: NewSnapshot,
    ) -> None:
        """Keep a state."""
        what = f"snapshot of {entity_type} {entity_id}"
        await self.process.live_through(f"before the {what}")
        await self._store.store_snapshot(space, entity_type, entity_id, entity_version, snapshot)
        await self.process.live_through(f"after the {what}")

    async def subscribe(
        self,
        space: str,
        subscriber_id: str,
        selection: Mapping[str, Sequence[str]],
        receiver: Receiver,
        *,
        durability: Durability = Durability.DURABLE,
        read_from: ReadFrom = ReadFrom.BEGINNING,
        progress_notifications: bool = False,
        ack_mode: AckMode = AckMode.INDIVIDUAL,
        policy: DeliveryPolicy | None = None,
    ) -> Consumer:
        """Deliver, with faults. Raises BadRequest for what is not acknowledged one by one."""
        if ack_mode is not AckMode.INDIVIDUAL or progress_notifications:
            raise BadRequest(
                "Faults delivers with individual acknowledgements, and without notifications"
            )
        if self.process.dead:
            await self.process.stay()
        delivery = FaultyDelivery(
            self.process,
            receiver,
            random.Random(self._chance.random()),
            redeliver=self._redeliver,
            reorder=self._reorder,
        )
        consumer = await self._store.subscribe(
            space,
            subscriber_id,
            selection,
            delivery,
            durability=durability,
            read_from=read_from,
            policy=policy,
        )
        delivery.begin(consumer)
        return delivery

    async def inspect(self, space: str, subscriber_id: str) -> SubscriptionStatus:
        """Return where a subscription stands."""
        if self.process.dead:
            await self.process.stay()
        return await self._store.inspect(space, subscriber_id)

    async def caught_up(self, space: str, subscriber_id: str, wait: float) -> bool:
        """Wait until all of the log as it is now has been acknowledged."""
        if self.process.dead:
            await self.process.stay()
        return await self._store.caught_up(space, subscriber_id, wait)

    async def delete_subscription(self, space: str, subscriber_id: str) -> None:
        """Forget a subscription."""
        what = f"end of subscription {subscriber_id!r}"
        await self.process.live_through(f"before the {what}")
        await self._store.delete_subscription(space, subscriber_id)
        await self.process.live_through(f"after the {what}")


def _names(events: Sequence[NewEvent]) -> str:
    return ", ".join(event.event_type for event in events)
