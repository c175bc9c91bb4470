"""One subscription: what its consumers answer, what failure leads to, and changes from outside.

``sharing`` says who consumes which of its swimlanes, ``feeding`` what they are given.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventuary.delivery.consumer import AckMode, Delivery, Receiver
from eventuary.delivery.consumption import Consumption
from eventuary.delivery.feeding import Feeding
from eventuary.delivery.parking import Parking
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.delivery.selection import Selection
from eventuary.delivery.sharing import Sharing
from eventuary.delivery.status import SwimlaneState
from eventuary.delivery.swimlane import Swimlane
from eventuary.delivery.tenure import Tenure
from eventuary.engines.engine import LogQuery

if TYPE_CHECKING:
    from eventuary.delivery.dispatcher import Dispatcher

#: Seconds until it is looked again how far consumers of other servers have come.
_LOOK_AGAIN_AFTER = 0.25


class Subscription:
    """Runs on the event loop alone; no method but ``flush`` and ``leave`` waits."""

    def __init__(
        self,
        dispatcher: "Dispatcher",
        space: str,
        subscriber_id: str,
        selection: Selection,
        positions: Sequence[int],
        policy: DeliveryPolicy,
        *,
        durable: bool,
        paused: bool,
        created_at: int,
    ) -> None:
        self.dispatcher = dispatcher
        self.space = space
        self.subscriber_id = subscriber_id
        self.selection = selection
        self.policy = policy
        self.durable = durable
        self.paused = paused
        self.created_at = created_at
        self.swimlanes = [
            Swimlane(number, position, policy) for number, position in enumerate(positions)
        ]
        self.consumptions: list[Consumption] = []
        #: What this server holds of it; None: all, as nobody else could.
        self.tenure = (
            Tenure(self, dispatcher.tenancy) if durable and dispatcher.tenancy is not None else None
        )
        self.parking = Parking(self)
        self.sharing = Sharing(self)
        self.feeding = Feeding(self)
        self._progress: asyncio.Future[None] | None = None  # somebody waits for acknowledgements

    # ── Who consumes ──────────────────────────────────────────────────────────────────────────

    def join(
        self, receiver: Receiver, ack_mode: AckMode, *, progress_notifications: bool
    ) -> Consumption:
        """Let a receiver take its share of the swimlanes."""
        consumption = Consumption(
            self, receiver, ack_mode, progress_notifications=progress_notifications
        )
        self.sharing.join(consumption)
        return consumption

    async def leave(self, consumption: Consumption) -> None:
        """Take a consumer's swimlanes from it; the last one out closes the subscription."""
        if consumption.closed:
            return
        consumption.closed = True
        self.sharing.leave(consumption)
        self.progressed()
        self.dispatcher.consumers_changed(self)
        if not self.consumptions:
            await self.dispatcher.close(self)

    @property
    def in_force(self) -> bool:
        """Whether this server may deliver, and take answers. If not, it holds nothing any more."""
        return self.tenure is None or self.tenure.in_force

    def epoch(self, swimlane: Swimlane) -> tuple[int | None, bool]:
        """Return the epoch of the lease under which a swimlane is delivered, and whether it is.

        Not ours: what is known of it here is not to be stored.
        """
        if self.tenure is None:
            return None, True
        epoch = self.tenure.epoch(swimlane.number)
        return epoch, epoch is not None

    def takes_from(self, partition: int) -> bool:
        """Whether this server delivers a swimlane that is in a partition of the log."""
        if self.tenure is None:
            return True
        return any(self.dispatcher.partition(number) == partition for number in self.tenure.leases)

    def holder(self, swimlane: Swimlane) -> Consumption | None:
        """Return who has the swimlane."""
        return self.sharing.holders[swimlane.number]

    def enter(self, swimlane: Swimlane) -> None:
        """Let a swimlane enter the state that the facts call for."""
        swimlane.enter(
            has_consumer=self.holder(swimlane) is not None,
            paused=self.paused,
            moving=self.sharing.is_moving(swimlane),
        )

    # ── Answers ───────────────────────────────────────────────────────────────────────────────

    def acknowledge(self, consumption: Consumption, number: int, offset: int) -> bool:
        """A consumer is done with a delivery."""
        holders = self.sharing.holders
        if not self.in_force or not 0 <= number < len(holders):
            return False
        if holders[number] is not consumption:
            return False
        swimlane = self.swimlanes[number]
        if not swimlane.acknowledge(offset):
            return self.parking.replayed(swimlane, offset)
        self.dispatcher.acknowledged(self, swimlane)
        if self.parking.offsets:
            self.parking.replayed(swimlane, offset)
        if self._progress is not None:
            self.progressed()
        if swimlane.state is not SwimlaneState.LIVE:
            self.answered(swimlane)
        return True

    def refuse(
        self, consumption: Consumption, number: int, offset: int, reason: str, *, for_good: bool
    ) -> bool:
        """A consumer could not handle a delivery; ``for_good``: nor will it ever."""
        holders = self.sharing.holders
        if not self.in_force or not 0 <= number < len(holders):
            return False
        if holders[number] is not consumption:
            return False
        return self.fail(self.swimlanes[number], offset, reason, for_good=for_good)

    def fail(self, swimlane: Swimlane, offset: int, reason: str, *, for_good: bool = False) -> bool:
        """Let a delivery come again after a pause, or park it: after too many, or for good."""
        if swimlane.state is SwimlaneState.LIVE:
            swimlane.leave_head(self.dispatcher.head(swimlane.number))
        failures = swimlane.fail(offset)
        if failures is None:
            # A dead letter apart from the others, or one that is done and had come twice: its
            # receiver has dropped what it had of the swimlane all the same.
            replayed = self.parking.failed_again(swimlane, offset, reason)
            if replayed:
                swimlane.send_again()
            elif offset > 0:  # not a notification
                swimlane.send_again(behind=offset)
            self.answered(swimlane)
            return replayed
        swimlane.answered_at = self.dispatcher.loop.time()
        given_up = for_good or failures >= self.policy.max_attempts
        # Behind another dead letter it waits for its turn, and is given up then.
        if given_up and swimlane.blocked_at is None:
            swimlane.block(offset)
            self.parking.park(swimlane, offset, failures, reason)
        else:
            pause = self.policy.pause_after(failures)
            swimlane.resting = True
            swimlane.rest_until = max(swimlane.rest_until, self.dispatcher.loop.time() + pause)
            self.dispatcher.loop.call_later(pause, self._try_again, swimlane)
        self.answered(swimlane)
        return True

    def _try_again(self, swimlane: Swimlane) -> None:
        rest = swimlane.rest_until - self.dispatcher.loop.time()
        if rest > 0.001:  # a later failure has asked for a longer pause
            self.dispatcher.loop.call_later(rest, self._try_again, swimlane)
            return
        swimlane.resting = False
        self.feeding.soon()

    def answered(self, swimlane: Swimlane) -> None:
        """What is under way in a swimlane has changed: let it go on from there."""
        self.enter(swimlane)
        self.sharing.move_if_idle(swimlane)
        if swimlane.hungry:
            self.feeding.soon()

    def check_answers(self, now: float) -> None:
        """Fail the oldest delivery of each swimlane that has had no answer for too long."""
        timeout = self.policy.ack_timeout
        for swimlane in self.swimlanes:
            if swimlane.in_hands == 0 or now - swimlane.answered_at < timeout:
                continue
            if swimlane.state is SwimlaneState.MOVING:
                self.sharing.move(swimlane)
                continue
            for offset in swimlane.unacknowledged:
                if offset not in swimlane.due and offset != swimlane.blocked_at:
                    self.fail(swimlane, offset, f"no acknowledgement within {timeout:g} s")
                    break

    # ── Changes from outside ────────────────────────────────────────────────────────────────────

    def select(self, selection: Selection) -> None:
        """Deliver other event types, from the stored positions on."""
        self.selection = selection
        for swimlane in self.swimlanes:
            self.begin_after(swimlane, swimlane.position)

    def begin_after(self, swimlane: Swimlane, position: int) -> None:
        """Forget what is under way in a swimlane, and deliver from after ``position``."""
        self.feeding.void_page()
        swimlane.reset(position)
        self.enter(swimlane)
        self.feeding.soon()

    def pause(self, *, paused: bool) -> None:
        """Stop delivering, or go on."""
        self.paused = paused
        for swimlane in self.swimlanes:
            if paused and swimlane.state is SwimlaneState.LIVE:
                swimlane.leave_head(self.dispatcher.head(swimlane.number))
            self.enter(swimlane)
        self.feeding.soon()

    def obey(self, policy: DeliveryPolicy) -> None:
        """Deliver by other rules from now on."""
        self.policy = policy
        for swimlane in self.swimlanes:
            swimlane.policy = policy
        self.feeding.soon()

    def end(self, reason: str) -> None:
        """Tell all consumers that the subscription is over for them."""
        for consumption in self.consumptions:
            consumption.closed = True
            consumption.receiver.closed(reason)
        self.sharing.end()
        self.progressed()

    async def caught_up(self) -> bool:
        """Return when all selected events of the log as it is now are acknowledged.

        False: everybody has left, or the subscription ended, before that.
        """
        heads = await self.dispatcher.engine.newest_heads()
        while not await self._has_done(heads):
            if not self.consumptions:
                if not await self._is_consumed_elsewhere():
                    return False
                await self.dispatcher.rest(_LOOK_AGAIN_AFTER)
                continue
            if self._progress is None:
                self._progress = self.dispatcher.loop.create_future()
            await asyncio.shield(self._progress)
        return True

    async def _has_done(self, heads: tuple[int, ...]) -> bool:
        """Whether all up to these heads is acknowledged, here and by other servers."""
        tenure = self.tenure
        away = set()
        if tenure is not None:
            away = {each.number for each in self.swimlanes} - tenure.leases.keys()
        if not all(
            each.has_done(heads[each.number % len(heads)])
            for each in self.swimlanes
            if each.number not in away
        ):
            return False
        for number in away:
            partition = number % len(heads)
            head = heads[partition]
            query = LogQuery(
                self.space,
                after=self.swimlanes[number].position,
                until=head,
                types=self.selection.types,
                swimlanes=frozenset([number]),
                partition=partition,
            )
            if query.after < head and await self.dispatcher.engine.count(query, cap=1):
                return False
        return True

    async def _is_consumed_elsewhere(self) -> bool:
        if self.tenure is None or self.dispatcher.tenancy is None:
            return False
        shared = await self.dispatcher.tenancy.shared(self)
        if shared is None:
            return False
        self.tenure.note_others(shared)
        return bool(shared.consumers)

    def progressed(self) -> None:
        """Let those who wait for acknowledgements look again."""
        if self._progress is not None:
            self._progress.set_result(None)
            self._progress = None

    def count_deliveries(self, batch: Sequence[Delivery]) -> None:
        """Count what is handed over."""
        statistics = self.dispatcher.statistics
        statistics.deliveries += len(batch)
        statistics.redeliveries += sum(delivery.attempt > 1 for delivery in batch)

    async def flush(self) -> None:
        """Return when all acknowledgements so far are on disk."""
        if self.durable:
            await self.dispatcher.positions.flush()
