"""One subscription: its swimlanes, who consumes them, and the reading that keeps them fed.

Swimlanes that are live get commits from ``offer``; the others are fed by ``_feed``, from the tail
in memory when it reaches back far enough, else by pages from the engine; ``_distribute`` hands out
both. One page is under way at a time; what it brings is bounded by the room in the windows, and
nothing is read for a consumer that can't take it: a slow consumer costs its windows and no more.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from eventuary.delivery.consumer import AckMode, Delivery, Receiver
from eventuary.delivery.consumption import Consumption
from eventuary.delivery.parking import Parking
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.delivery.selection import Selection
from eventuary.delivery.status import SwimlaneState
from eventuary.delivery.swimlane import Swimlane
from eventuary.engines.engine import LogPage, LogQuery
from eventuary.events import END_OF_CURRENT_EVENTS, LogEvent
from eventuary.ids import ZERO_ID

if TYPE_CHECKING:
    from eventuary.delivery.dispatcher import Dispatcher

#: Events of one page, and of one turn of feeding from the tail.
_PAGE = 1000

#: Swimlanes whose cursors are at most so far apart are read together.
_COHORT_SPAN = 2000

#: Seconds until a failed read of the log is tried again.
_READ_AGAIN_AFTER = 1.0


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
        self.parking = Parking(self)
        self._holders: list[Consumption | None] = [None] * len(self.swimlanes)
        self._movers: list[Consumption | None] = [None] * len(self.swimlanes)
        self._reading = False
        self._feed_scheduled = False
        self._progress: asyncio.Future[None] | None = None  # somebody waits for acknowledgements
        self._epoch = 0  # changes when a page under way must not be used any more

    # ── Who consumes ──────────────────────────────────────────────────────────────────────────

    def join(
        self, receiver: Receiver, ack_mode: AckMode, *, progress_notifications: bool
    ) -> Consumption:
        """Let a receiver take its share of the swimlanes."""
        consumption = Consumption(
            self, receiver, ack_mode, progress_notifications=progress_notifications
        )
        self.consumptions.append(consumption)
        self._share_out()
        return consumption

    async def leave(self, consumption: Consumption) -> None:
        """Take a consumer's swimlanes from it; the last one out closes the subscription."""
        if consumption.closed:
            return
        consumption.closed = True
        self.consumptions.remove(consumption)
        for swimlane in self.swimlanes:
            if self._movers[swimlane.number] is consumption:
                self._movers[swimlane.number] = None
                self.enter(swimlane)
            if self._holders[swimlane.number] is consumption:
                self._take_away(swimlane)
        self._share_out()
        self._progressed()
        if not self.consumptions:
            await self.dispatcher.close(self)

    def holder(self, swimlane: Swimlane) -> Consumption | None:
        """Return who has the swimlane."""
        return self._holders[swimlane.number]

    def enter(self, swimlane: Swimlane) -> None:
        """Let a swimlane enter the state that the facts call for."""
        swimlane.enter(
            has_consumer=self._holders[swimlane.number] is not None,
            paused=self.paused,
            moving=self._movers[swimlane.number] is not None,
        )

    def _take_away(self, swimlane: Swimlane) -> None:
        if swimlane.settle(self.dispatcher.tail.head):
            self.dispatcher.position_moved(self, swimlane)
        self._holders[swimlane.number] = None
        self._movers[swimlane.number] = None
        self.parking.forget_replays(swimlane)
        swimlane.release()

    def _share_out(self) -> None:
        """Give swimlanes without a consumer to those with the fewest, then even out."""
        if not self.consumptions:
            return
        shares: dict[Consumption, list[Swimlane]] = {each: [] for each in self.consumptions}
        for swimlane in self.swimlanes:
            future_holder = self._movers[swimlane.number] or self._holders[swimlane.number]
            if future_holder is not None:
                shares[future_holder].append(swimlane)
        for swimlane in self.swimlanes:
            if self._holders[swimlane.number] is None:
                taker = min(self.consumptions, key=lambda each: len(shares[each]))
                shares[taker].append(swimlane)
                self._give(swimlane, taker)
        while True:
            least = min(self.consumptions, key=lambda each: len(shares[each]))
            most = max(self.consumptions, key=lambda each: len(shares[each]))
            if len(shares[most]) - len(shares[least]) <= 1:
                break
            swimlane = shares[most].pop()
            shares[least].append(swimlane)
            back = self._holders[swimlane.number] is least
            self._movers[swimlane.number] = None if back else least
            if swimlane.state is SwimlaneState.LIVE:
                swimlane.leave_head(self.dispatcher.tail.head)
            self.enter(swimlane)
            self._move_if_idle(swimlane)
        self.feed_soon()

    def _give(self, swimlane: Swimlane, taker: Consumption) -> None:
        self._holders[swimlane.number] = taker
        self.enter(swimlane)

    def _move_if_idle(self, swimlane: Swimlane) -> None:
        """Hand a moving swimlane over once nothing of it is in its consumer's hands."""
        taker = self._movers[swimlane.number]
        if taker is not None and swimlane.in_hands == 0:
            self._take_away(swimlane)
            self._give(swimlane, taker)
            self.feed_soon()

    # ── Answers ───────────────────────────────────────────────────────────────────────────────

    def acknowledge(self, consumption: Consumption, number: int, offset: int) -> bool:
        """A consumer is done with a delivery."""
        if not 0 <= number < len(self.swimlanes) or self._holders[number] is not consumption:
            return False
        swimlane = self.swimlanes[number]
        if not swimlane.acknowledge(offset):
            return self.parking.replayed(swimlane, offset)
        self.dispatcher.acknowledged(self, swimlane)
        if self.parking.offsets:
            self.parking.replayed(swimlane, offset)
        if self._progress is not None:
            self._progressed()
        if swimlane.state is not SwimlaneState.LIVE:
            self.answered(swimlane)
        return True

    def refuse(self, consumption: Consumption, number: int, offset: int, reason: str) -> bool:
        """A consumer could not handle a delivery."""
        if not 0 <= number < len(self.swimlanes) or self._holders[number] is not consumption:
            return False
        return self.fail(self.swimlanes[number], offset, reason)

    def fail(self, swimlane: Swimlane, offset: int, reason: str) -> bool:
        """Let a delivery come again after a pause, or park it after too many."""
        if swimlane.state is SwimlaneState.LIVE:
            swimlane.leave_head(self.dispatcher.tail.head)
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
        if failures >= self.policy.max_attempts and swimlane.blocked_at is None:
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
        self.feed_soon()

    def answered(self, swimlane: Swimlane) -> None:
        """What is under way in a swimlane has changed: let it go on from there."""
        self.enter(swimlane)
        self._move_if_idle(swimlane)
        if swimlane.hungry:
            self.feed_soon()

    def check_answers(self, now: float) -> None:
        """Fail the oldest delivery of each swimlane that has had no answer for too long."""
        timeout = self.policy.ack_timeout
        for swimlane in self.swimlanes:
            if swimlane.in_hands == 0 or now - swimlane.answered_at < timeout:
                continue
            if swimlane.state is SwimlaneState.MOVING:
                taker = self._movers[swimlane.number]
                self._take_away(swimlane)
                if taker is not None:
                    self._give(swimlane, taker)
                self.feed_soon()
                continue
            for offset in swimlane.unacknowledged:
                if offset not in swimlane.due and offset != swimlane.blocked_at:
                    self.fail(swimlane, offset, f"no acknowledgement within {timeout:g} s")
                    break

    # ── Feeding ───────────────────────────────────────────────────────────────────────────────

    def offer(self, event: LogEvent) -> Consumption | None:
        """Take a committed event for a live swimlane; returns who must be handed its batch."""
        swimlane = self.swimlanes[event.swimlane]
        if swimlane.state is not SwimlaneState.LIVE:
            return None
        consumption = self._holders[event.swimlane]
        if consumption is None or not consumption.can_take or swimlane.room <= 0:
            swimlane.leave_head(event.position - 1)
            self.feed_soon()
            return None
        if not swimlane.unacknowledged:
            swimlane.answered_at = self.dispatcher.loop.time()
        swimlane.unacknowledged[event.position] = 0
        consumption.add(event, event.swimlane, 1)
        return consumption

    def feed_soon(self) -> None:
        """Read for the hungry swimlanes in the loop's next turn."""
        if not self._feed_scheduled:
            self._feed_scheduled = True
            self.dispatcher.loop.call_soon(self._feed)

    def _feed(self) -> None:
        self._feed_scheduled = False
        if self._reading or self.dispatcher.stopping:
            return
        hungry = [swimlane for swimlane in self.swimlanes if self._can_be_fed(swimlane)]
        if not hungry:
            return
        after = min(swimlane.read_from for swimlane in hungry)
        cohort = [swimlane for swimlane in hungry if swimlane.read_from <= after + _COHORT_SPAN]
        tail = self.dispatcher.tail
        if after < tail.start:
            self._read_page(after, cohort)
            return
        events = tail.after(after, _PAGE)
        through = events[-1].position if len(events) == _PAGE else tail.head
        self._distribute(events, through, cohort)

    def _can_be_fed(self, swimlane: Swimlane) -> bool:
        holder = self._holders[swimlane.number]
        return holder is not None and holder.ready and swimlane.hungry

    def _read_page(self, after: int, cohort: list[Swimlane]) -> None:
        self._reading = True
        epoch = self._epoch
        numbers = frozenset(swimlane.number for swimlane in cohort)
        room = sum(swimlane.room + len(swimlane.due) for swimlane in cohort)
        future = self.dispatcher.engine.read_log(
            LogQuery(
                space=self.space,
                after=after,
                types=self.selection.types,
                swimlanes=None if len(numbers) == len(self.swimlanes) else numbers,
                limit=max(1, min(_PAGE, room)),
            )
        )
        future.add_done_callback(lambda done: self._page_read(done, epoch, after, cohort))

    def _page_read(
        self, done: asyncio.Future[LogPage], epoch: int, after: int, cohort: list[Swimlane]
    ) -> None:
        self._reading = False
        if done.cancelled():
            return
        if done.exception() is not None:  # the storage is ill; the swimlanes wait
            self.dispatcher.loop.call_later(_READ_AGAIN_AFTER, self.feed_soon)
            return
        page = done.result()
        if epoch == self._epoch:
            # Meanwhile a swimlane may have moved, paused, or gone back to before the page.
            cohort = [
                swimlane
                for swimlane in cohort
                if self._can_be_fed(swimlane) and swimlane.read_from >= after
            ]
            self._distribute(page.events, page.position, cohort)
        else:
            self.feed_soon()

    def _distribute(self, events: Iterable[LogEvent], through: int, cohort: list[Swimlane]) -> None:
        """Hand the events of a stretch of the log to the swimlanes that read it."""
        feeding: dict[int, Swimlane] = {
            swimlane.number: swimlane for swimlane in cohort if swimlane.read_from < through
        }
        arrived = [swimlane for swimlane in cohort if swimlane.read_from >= through]
        types = self.selection.types
        space = self.space
        now = self.dispatcher.loop.time()
        for event in events:
            swimlane = feeding.get(event.swimlane)
            if (
                swimlane is None
                or event.space != space
                or (event.entity_type, event.event_type) not in types
            ):
                continue
            holder = self._holders[event.swimlane]
            in_hands = swimlane.in_hands
            attempt = (
                swimlane.accept(event.position) if holder is not None and holder.can_take else None
            )
            if attempt is None:
                self._stop_at(swimlane, event.position - 1)
                del feeding[event.swimlane]
            elif attempt and holder is not None:
                if in_hands == 0:
                    swimlane.answered_at = now
                holder.add(event, event.swimlane, attempt)
        for swimlane in feeding.values():
            self._stop_at(swimlane, through)
        for consumption in list(self.consumptions):
            consumption.hand_over()
        if through >= self.dispatcher.tail.head:
            arrived += feeding.values()
            for swimlane in arrived:
                swimlane.reached_head()
                self._notify(swimlane)
            self._progressed()
        for swimlane in cohort:
            self.enter(swimlane)  # one may have come upon a dead letter
        self.feed_soon()

    def _stop_at(self, swimlane: Swimlane, position: int) -> None:
        if swimlane.read_through(max(position, swimlane.cursor)):
            self.dispatcher.position_moved(self, swimlane)

    def _notify(self, swimlane: Swimlane) -> None:
        """Tell a consumer that asked for it that its swimlane has reached the present."""
        holder = self._holders[swimlane.number]
        if holder is None or swimlane.number not in holder.to_notify:
            return
        holder.to_notify.discard(swimlane.number)
        event = LogEvent(
            position=swimlane.cursor,
            event_id=ZERO_ID,
            space=self.space,
            entity_type=END_OF_CURRENT_EVENTS,
            entity_id=ZERO_ID,
            event_type=END_OF_CURRENT_EVENTS,
            event_data="{}",
            metadata=None,
            swimlane=swimlane.number,
            triggering_event_token=None,
        )
        holder.notify(Delivery(event, swimlane.number, swimlane.cursor, 1))

    # ── Changes from outside ────────────────────────────────────────────────────────────────────

    def select(self, selection: Selection) -> None:
        """Deliver other event types, from the stored positions on."""
        self.selection = selection
        for swimlane in self.swimlanes:
            self.begin_after(swimlane, swimlane.position)

    def begin_after(self, swimlane: Swimlane, position: int) -> None:
        """Forget what is under way in a swimlane, and deliver from after ``position``."""
        self._epoch += 1  # a page under way is for what was
        swimlane.reset(position)
        self.enter(swimlane)
        self.feed_soon()

    def pause(self, *, paused: bool) -> None:
        """Stop delivering, or go on."""
        self.paused = paused
        for swimlane in self.swimlanes:
            if paused and swimlane.state is SwimlaneState.LIVE:
                swimlane.leave_head(self.dispatcher.tail.head)
            self.enter(swimlane)
        self.feed_soon()

    def obey(self, policy: DeliveryPolicy) -> None:
        """Deliver by other rules from now on."""
        self.policy = policy
        for swimlane in self.swimlanes:
            swimlane.policy = policy
        self.feed_soon()

    def end(self, reason: str) -> None:
        """Tell all consumers that the subscription is over for them."""
        for consumption in self.consumptions:
            consumption.closed = True
            consumption.receiver.closed(reason)
        self.consumptions.clear()
        for swimlane in self.swimlanes:
            if self._holders[swimlane.number] is not None:
                self._take_away(swimlane)
        self._progressed()

    async def caught_up(self) -> bool:
        """Return when all selected events of the log as it is now are acknowledged.

        False: everybody has left, or the subscription ended, before that.
        """
        head = self.dispatcher.engine.head
        while not all(swimlane.has_done(head) for swimlane in self.swimlanes):
            if not self.consumptions:
                return False
            if self._progress is None:
                self._progress = self.dispatcher.loop.create_future()
            await asyncio.shield(self._progress)
        return True

    def _progressed(self) -> None:
        """Let those who wait for acknowledgements look again."""
        if self._progress is not None:
            self._progress.set_result(None)
            self._progress = None

    def fall_behind(self) -> None:
        """The head moved, and what was committed must be read from the log."""
        for swimlane in self.swimlanes:
            if swimlane.state is SwimlaneState.LIVE:
                swimlane.leave_head(swimlane.read_from)
        self.feed_soon()

    def count_deliveries(self, batch: Sequence[Delivery]) -> None:
        """Count what is handed over."""
        statistics = self.dispatcher.statistics
        statistics.deliveries += len(batch)
        statistics.redeliveries += sum(delivery.attempt > 1 for delivery in batch)

    async def flush(self) -> None:
        """Return when all acknowledgements so far are on disk."""
        if self.durable:
            await self.dispatcher.flush()
