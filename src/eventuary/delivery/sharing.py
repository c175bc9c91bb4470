"""Who consumes a subscription: a swimlane has one consumer at a time, and each consumer its share.

A swimlane that is to change hands does so once nothing of it is in its consumer's hands.
"""

from typing import TYPE_CHECKING

from eventuary.delivery.consumption import Consumption
from eventuary.delivery.status import SwimlaneState
from eventuary.delivery.swimlane import Swimlane

if TYPE_CHECKING:
    from eventuary.delivery.subscription import Subscription


class Sharing:
    """Belongs to one subscription."""

    def __init__(self, subscription: "Subscription") -> None:
        self._subscription = subscription
        self._dispatcher = subscription.dispatcher
        self._swimlanes = subscription.swimlanes
        self._consumptions = subscription.consumptions
        #: By the swimlane's number, who has it.
        self.holders: list[Consumption | None] = [None] * len(self._swimlanes)
        #: And who is to have it next.
        self._movers: list[Consumption | None] = [None] * len(self._swimlanes)

    def mover(self, swimlane: Swimlane) -> Consumption | None:
        """Return who is to have the swimlane next."""
        return self._movers[swimlane.number]

    def join(self, consumption: Consumption) -> None:
        """Let a consumer take its share."""
        self._consumptions.append(consumption)
        self._share_out()

    def leave(self, consumption: Consumption) -> None:
        """Take a consumer's swimlanes from it, for the others."""
        self._consumptions.remove(consumption)
        for swimlane in self._swimlanes:
            if self._movers[swimlane.number] is consumption:
                self._movers[swimlane.number] = None
                self._subscription.enter(swimlane)
            if self.holders[swimlane.number] is consumption:
                self._take_away(swimlane)
        self._share_out()

    def end(self) -> None:
        """Take the swimlanes from all."""
        self._consumptions.clear()
        for swimlane in self._swimlanes:
            if self.holders[swimlane.number] is not None:
                self._take_away(swimlane)

    def move(self, swimlane: Swimlane) -> None:
        """Hand a moving swimlane over, whatever of it is in its consumer's hands."""
        taker = self._movers[swimlane.number]
        self._take_away(swimlane)
        if taker is not None:
            self._give(swimlane, taker)
        self._subscription.feeding.soon()

    def move_if_idle(self, swimlane: Swimlane) -> None:
        """Hand a moving swimlane over once nothing of it is in its consumer's hands."""
        if self._movers[swimlane.number] is not None and swimlane.in_hands == 0:
            self.move(swimlane)

    def _take_away(self, swimlane: Swimlane) -> None:
        if swimlane.settle(self._dispatcher.tail.head):
            self._dispatcher.position_moved(self._subscription, swimlane)
        self.holders[swimlane.number] = None
        self._movers[swimlane.number] = None
        self._subscription.parking.forget_replays(swimlane)
        swimlane.release()

    def _share_out(self) -> None:
        """Give swimlanes without a consumer to those with the fewest, then even out."""
        if not self._consumptions:
            return
        shares: dict[Consumption, list[Swimlane]] = {each: [] for each in self._consumptions}
        for swimlane in self._swimlanes:
            future_holder = self._movers[swimlane.number] or self.holders[swimlane.number]
            if future_holder is not None:
                shares[future_holder].append(swimlane)
        for swimlane in self._swimlanes:
            if self.holders[swimlane.number] is None:
                taker = min(self._consumptions, key=lambda each: len(shares[each]))
                shares[taker].append(swimlane)
                self._give(swimlane, taker)
        while True:
            least = min(self._consumptions, key=lambda each: len(shares[each]))
            most = max(self._consumptions, key=lambda each: len(shares[each]))
            if len(shares[most]) - len(shares[least]) <= 1:
                break
            swimlane = shares[most].pop()
            shares[least].append(swimlane)
            back = self.holders[swimlane.number] is least
            self._movers[swimlane.number] = None if back else least
            if swimlane.state is SwimlaneState.LIVE:
                swimlane.leave_head(self._dispatcher.tail.head)
            self._subscription.enter(swimlane)
            self.move_if_idle(swimlane)
        self._subscription.feeding.soon()

    def _give(self, swimlane: Swimlane, taker: Consumption) -> None:
        self.holders[swimlane.number] = taker
        self._subscription.enter(swimlane)
