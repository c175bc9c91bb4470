"""A subscription's dead letters: parking what could not be handled, replaying and discarding it.

With the policy WAIT a dead letter blocks its swimlane: the stored position stays below it, and a
replay is an ordinary redelivery. With CONTINUE the swimlane goes on, and a replay is one delivery
out of order; if it fails, the event is parked again.

A record is deleted only when the event was acknowledged or discarded: a crash loses none.
"""

import logging
import time
from typing import TYPE_CHECKING

from eventuary.delivery.consumer import Delivery
from eventuary.delivery.policy import OnDeadLetter
from eventuary.delivery.swimlane import Swimlane
from eventuary.engines.engine import DeadLetterRecord, LogQuery, SwimlanePosition
from eventuary.errors import Conflict, NotFound, ServiceUnavailable
from eventuary.events import LogEvent

if TYPE_CHECKING:
    from eventuary.delivery.subscription import Subscription

_log = logging.getLogger("eventuary.delivery")

#: What an operator may wish for a dead letter.
REPLAY, DISCARD = "replay", "discard"

#: Characters of a reason that the log shows.
_MOST_SHOWN = 200

#: Seconds until a record that could not be stored is tried again.
_STORE_AGAIN_AFTER = 1.0


class Parking:
    """Belongs to one subscription."""

    def __init__(self, subscription: "Subscription") -> None:
        self._subscription = subscription
        self._dispatcher = subscription.dispatcher
        #: Offsets being replayed, and the swimlane of each.
        self.offsets: dict[int, Swimlane] = {}
        #: Positions of dead letters of which a wish is being fulfilled.
        self._wishes: set[int] = set()

    async def load(self) -> None:
        """Read the dead letters from the disk: swimlanes that wait for one will halt there."""
        records = await self.records()
        if self._subscription.policy.on_dead_letter is OnDeadLetter.WAIT:
            for record in records:
                swimlane = self._subscription.swimlanes[record.swimlane]
                if record.position > swimlane.position:
                    swimlane.parked.add(record.position)

    async def records(self) -> list[DeadLetterRecord]:
        """Return the dead letters, lowest position first."""
        return await self._dispatcher.engine.load_dead_letters(
            self._subscription.space, self._subscription.subscriber_id
        )

    def park(self, swimlane: Swimlane, offset: int, attempts: int, reason: str) -> None:
        """Make the event at ``offset``, which blocks its swimlane by now, a dead letter."""
        self.offsets.pop(offset, None)
        self._dispatcher.spawn(self._park(swimlane, offset, attempts, reason))

    async def _park(self, swimlane: Swimlane, offset: int, attempts: int, reason: str) -> None:
        subscription = self._subscription
        epoch, _ = subscription.epoch(swimlane)
        while not self._dispatcher.stopping:
            if subscription.epoch(swimlane) != (epoch, True):
                return  # another server has the swimlane, and delivers it again
            try:
                event = await self._event(swimlane, offset)
                if subscription.durable:
                    await self._dispatcher.engine.store_dead_letter(
                        self._record(event, attempts, reason), epoch
                    )
            except ServiceUnavailable:
                await self._dispatcher.rest(_STORE_AGAIN_AFTER)
                continue
            break
        else:
            return  # it is no dead letter, and not done either: it is delivered again after a start
        self._dispatcher.statistics.dead_letters += 1
        self._log(event, attempts, reason)
        if subscription.policy.on_dead_letter is OnDeadLetter.CONTINUE or not subscription.durable:
            self._go_on(swimlane, offset)

    def _log(self, event: LogEvent, attempts: int, reason: str) -> None:
        more = self._dispatcher.dead_letter_lines.due()
        if more is None:
            return
        subscription = self._subscription
        kept = "" if subscription.durable else " (transient: it is not kept)"
        # What clients named is quoted, so that it can't pretend to be another line.
        _log.warning(
            "an event became a dead letter: %s",
            f"subscriber {subscription.subscriber_id!r} of space {event.space!r}{kept}, event "
            f"{event.event_id} ({event.event_type!r} of {event.entity_type!r} "
            f"{event.entity_id!r}), attempts {attempts}, reason {reason[:_MOST_SHOWN]!r}{more}",
        )

    async def replay(self, position: int) -> None:
        """Deliver a dead letter again.

        Raises NotFound when there is none at ``position``, and Conflict when nobody is connected
        who could take it.
        """
        record = await self.record_at(position)
        subscription = self._subscription
        swimlane = subscription.swimlanes[record.swimlane]
        holder = subscription.holder(swimlane)
        if holder is None:
            raise Conflict(
                f"subscriber {subscription.subscriber_id!r} is not connected: connect it, "
                "then replay"
            )
        self.offsets[position] = swimlane
        if position in swimlane.parked:
            swimlane.parked.discard(position)  # its turn comes, and it is delivered then
            return
        if swimlane.blocked_at == position:
            swimlane.unblock()
            subscription.answered(swimlane)
            return
        event = await self._event(swimlane, position)
        if subscription.in_force and subscription.holder(swimlane) is holder:
            delivery = Delivery(event, swimlane.number, position, record.attempts + 1)
            subscription.count_deliveries([delivery])
            holder.receiver.deliver([delivery])
        else:
            self.offsets.pop(position, None)
            raise Conflict(f"subscriber {subscription.subscriber_id!r} has just disconnected")

    async def discard(self, position: int) -> None:
        """Drop a dead letter; a swimlane that waited for it goes on.

        Raises NotFound when there is none at ``position``, and Conflict when its swimlane waits for
        it and has events before it to deliver: dropping it would not survive a restart.
        """
        record = await self.record_at(position)
        swimlane = self._subscription.swimlanes[record.swimlane]
        if position in swimlane.parked:
            before = await self._dispatcher.engine.count(
                LogQuery(
                    self._subscription.space,
                    after=swimlane.position,
                    until=position - 1,
                    types=self._subscription.selection.types,
                    swimlanes=frozenset([swimlane.number]),
                    partition=self._dispatcher.partition(swimlane.number),
                ),
                cap=1,
            )
            if before:
                raise Conflict(
                    f"events before position {position} are not acknowledged yet: connect "
                    f"subscriber {self._subscription.subscriber_id!r}, then discard"
                )
            swimlane.parked.discard(position)
            swimlane.position = swimlane.cursor = position
            await self._store_position(swimlane)
        self.offsets.pop(position, None)
        self._go_on(swimlane, position)
        await self._delete(position)

    def replayed(self, swimlane: Swimlane, offset: int) -> bool:
        """An acknowledgement: if it is a replay's, the dead letter is done with."""
        if self.offsets.get(offset) is not swimlane:
            return False
        del self.offsets[offset]
        self._dispatcher.spawn(self._delete_when_possible(offset))
        return True

    def failed_again(self, swimlane: Swimlane, offset: int, reason: str) -> bool:
        """A refusal: if it is a replay's, the dead letter stays, and shows the new reason."""
        if self.offsets.get(offset) is not swimlane:
            return False
        del self.offsets[offset]
        self._dispatcher.spawn(self._park_again(offset, reason))
        return True

    def forget_replays(self, swimlane: Swimlane) -> None:
        """The swimlane's consumer is gone, and with it the replays that were deliveries apart."""
        if self.offsets:
            self.offsets = {
                offset: held
                for offset, held in self.offsets.items()
                if held is not swimlane or offset in swimlane.unacknowledged
            }

    def _go_on(self, swimlane: Swimlane, offset: int) -> None:
        if swimlane.blocked_at == offset:
            swimlane.blocked_at = None
            swimlane.acknowledge(offset)
            self._dispatcher.positions.moved(self._subscription, swimlane)
            self._subscription.answered(swimlane)

    async def _store_position(self, swimlane: Swimlane) -> None:
        """Store a position that moved though nobody may consume the swimlane."""
        subscription = self._subscription
        _, ours = subscription.epoch(swimlane)
        if ours:
            self._dispatcher.positions.moved(subscription, swimlane)
        else:
            await self._dispatcher.engine.store_positions(
                [
                    SwimlanePosition(
                        subscription.space,
                        subscription.subscriber_id,
                        swimlane.number,
                        swimlane.position,
                    )
                ]
            )

    async def fulfil(self, position: int, wish: str) -> None:
        """Do with a dead letter what an operator has asked another server for, if it is ours."""
        tenancy = self._dispatcher.tenancy
        if tenancy is None or position in self._wishes:
            return
        self._wishes.add(position)
        try:
            record = await self.record_at(position)
            if self._subscription.epoch(self._subscription.swimlanes[record.swimlane])[1]:
                await tenancy.wish(self._subscription, position, None)
                await (self.replay if wish == REPLAY else self.discard)(position)
        except (Conflict, NotFound, ServiceUnavailable):
            return  # it is done with, or it is still a dead letter, which the operator sees
        finally:
            self._wishes.discard(position)

    async def _park_again(self, offset: int, reason: str) -> None:
        record = await self.record_at(offset)
        swimlane = self._subscription.swimlanes[record.swimlane]
        event = await self._event(swimlane, offset)
        epoch, ours = self._subscription.epoch(swimlane)
        if ours:
            await self._dispatcher.engine.store_dead_letter(
                self._record(event, record.attempts + 1, reason), epoch
            )

    async def _delete_when_possible(self, offset: int) -> None:
        while not self._dispatcher.stopping:
            try:
                await self._delete(offset)
            except ServiceUnavailable:
                await self._dispatcher.rest(_STORE_AGAIN_AFTER)
            else:
                return

    async def _delete(self, offset: int) -> None:
        await self._dispatcher.engine.delete_dead_letter(
            self._subscription.space, self._subscription.subscriber_id, offset
        )

    async def record_at(self, position: int) -> DeadLetterRecord:
        """Return the dead letter at a position. Raises NotFound."""
        for record in await self.records():
            if record.position == position:
                return record
        raise NotFound(
            f"subscriber {self._subscription.subscriber_id!r} has no dead letter at "
            f"position {position}"
        )

    async def _event(self, swimlane: Swimlane, offset: int) -> LogEvent:
        page = await self._dispatcher.engine.read_log(
            LogQuery(
                self._subscription.space,
                after=offset - 1,
                until=offset,
                partition=self._dispatcher.partition(swimlane.number),
            )
        )
        return page.events[0]

    def _record(self, event: LogEvent, attempts: int, reason: str) -> DeadLetterRecord:
        return DeadLetterRecord(
            space=event.space,
            subscriber_id=self._subscription.subscriber_id,
            swimlane=event.swimlane,
            position=event.position,
            event_id=event.event_id,
            entity_type=event.entity_type,
            entity_id=event.entity_id,
            event_type=event.event_type,
            attempts=attempts,
            reason=reason[:1000],
            parked_at=time.time_ns() // 1_000_000,
        )
