"""What a subscription's swimlanes are given: commits as they happen, or the log, read for them.

Swimlanes that are live get commits from ``offer``; the others are fed by ``_feed``, from the tail
in memory when it reaches back far enough, else by pages from the engine; ``_distribute`` hands out
both. One page is under way at a time; what it brings is bounded by the room in the windows, and
nothing is read for a consumer that can't take it: a slow consumer costs its windows and no more.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from eventuary.delivery.consumer import Delivery
from eventuary.delivery.consumption import Consumption
from eventuary.delivery.status import SwimlaneState
from eventuary.delivery.swimlane import Swimlane
from eventuary.engines.engine import LogPage, LogQuery
from eventuary.events import END_OF_CURRENT_EVENTS, LogEvent
from eventuary.ids import ZERO_ID

if TYPE_CHECKING:
    from eventuary.delivery.subscription import Subscription

#: Events of one page, and of one turn of feeding from the tail.
_PAGE = 1000

#: Swimlanes whose cursors are at most so far apart are read together.
_COHORT_SPAN = 2000

#: Seconds until a failed read of the log is tried again.
_READ_AGAIN_AFTER = 1.0


class Feeding:
    """Belongs to one subscription."""

    def __init__(self, subscription: "Subscription") -> None:
        self._subscription = subscription
        self._dispatcher = subscription.dispatcher
        self._swimlanes = subscription.swimlanes
        self._holders = subscription.sharing.holders
        self._reading = False
        self._scheduled = False
        self._epoch = 0  # changes when a page under way must not be used any more

    def offer(self, event: LogEvent) -> Consumption | None:
        """Take a committed event for a live swimlane; returns who must be handed its batch."""
        swimlane = self._swimlanes[event.swimlane]
        if swimlane.state is not SwimlaneState.LIVE:
            return None
        consumption = self._holders[event.swimlane]
        if consumption is None or not consumption.can_take or swimlane.room <= 0:
            swimlane.leave_head(event.position - 1)
            self.soon()
            return None
        if not swimlane.unacknowledged:
            swimlane.answered_at = self._dispatcher.loop.time()
        swimlane.unacknowledged[event.position] = 0
        consumption.add(event, event.swimlane, 1)
        return consumption

    def soon(self) -> None:
        """Read for the hungry swimlanes in the loop's next turn."""
        if not self._scheduled:
            self._scheduled = True
            self._dispatcher.loop.call_soon(self._feed)

    def _feed(self) -> None:
        self._scheduled = False
        if self._reading or self._dispatcher.stopping:
            return
        hungry = [swimlane for swimlane in self._swimlanes if self._can_be_fed(swimlane)]
        if not hungry:
            return
        dispatcher = self._dispatcher
        last = min(hungry, key=lambda swimlane: swimlane.read_from)
        partition = dispatcher.partition(last.number)
        after = last.read_from
        through = after + _COHORT_SPAN * len(dispatcher.tails)
        cohort = [
            swimlane
            for swimlane in hungry
            if swimlane.read_from <= through and dispatcher.partition(swimlane.number) == partition
        ]
        tail = dispatcher.tails[partition]
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
        partition = self._dispatcher.partition(cohort[0].number)
        room = sum(swimlane.room + len(swimlane.due) for swimlane in cohort)
        future = self._dispatcher.engine.read_log(
            LogQuery(
                space=self._subscription.space,
                after=after,
                types=self._subscription.selection.types,
                swimlanes=None if len(numbers) == len(self._swimlanes) else numbers,
                limit=max(1, min(_PAGE, room)),
                partition=partition,
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
            self._dispatcher.loop.call_later(_READ_AGAIN_AFTER, self.soon)
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
            self.soon()

    def _distribute(self, events: Iterable[LogEvent], through: int, cohort: list[Swimlane]) -> None:
        """Hand the events of a stretch of one partition to the swimlanes that read it."""
        feeding: dict[int, Swimlane] = {
            swimlane.number: swimlane for swimlane in cohort if swimlane.read_from < through
        }
        arrived = [swimlane for swimlane in cohort if swimlane.read_from >= through]
        types = self._subscription.selection.types
        space = self._subscription.space
        now = self._dispatcher.loop.time()
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
        for consumption in list(self._subscription.consumptions):
            consumption.hand_over()
        if cohort and through >= self._dispatcher.head(cohort[0].number):
            arrived += feeding.values()
            for swimlane in arrived:
                swimlane.reached_head()
                self._notify(swimlane)
            self._subscription.progressed()
        for swimlane in cohort:
            self._subscription.enter(swimlane)  # one may have come upon a dead letter
        self.soon()

    def _stop_at(self, swimlane: Swimlane, position: int) -> None:
        if swimlane.read_through(max(position, swimlane.cursor)):
            self._dispatcher.positions.moved(self._subscription, swimlane)

    def _notify(self, swimlane: Swimlane) -> None:
        """Tell a consumer that asked for it that its swimlane has reached the present."""
        if not self._subscription.in_force:
            return  # it is told when it is delivered here again
        holder = self._holders[swimlane.number]
        if holder is None or swimlane.number not in holder.to_notify:
            return
        holder.to_notify.discard(swimlane.number)
        event = LogEvent(
            position=swimlane.cursor,
            event_id=ZERO_ID,
            space=self._subscription.space,
            entity_type=END_OF_CURRENT_EVENTS,
            entity_id=ZERO_ID,
            event_type=END_OF_CURRENT_EVENTS,
            event_data="{}",
            metadata=None,
            swimlane=swimlane.number,
            triggering_event_token=None,
        )
        holder.notify(Delivery(event, swimlane.number, swimlane.cursor, 1))

    def fall_behind(self, partition: int) -> None:
        """A partition's head moved, and what was committed must be read from the log."""
        for swimlane in self._swimlanes:
            if (
                swimlane.state is SwimlaneState.LIVE
                and self._dispatcher.partition(swimlane.number) == partition
            ):
                swimlane.leave_head(swimlane.read_from)
        self.soon()

    def void_page(self) -> None:
        """What is being read is for what was: use nothing of it."""
        self._epoch += 1
