"""Who consumes a subscription: a swimlane has one consumer at a time, and each consumer its share.

A swimlane that is to change hands does so once nothing of it is in its consumer's hands. Where
servers share a storage, only those that this server holds are shared out here (``tenure``).
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
        #: Numbers of swimlanes that another server is to have next.
        self._leaving: set[int] = set()

    @property
    def kept(self) -> int:
        """How many swimlanes this server holds, and is to hold."""
        tenure = self._subscription.tenure
        return len(self._swimlanes if tenure is None else tenure.leases) - len(self._leaving)

    def is_moving(self, swimlane: Swimlane) -> bool:
        """Whether somebody else is to have the swimlane next."""
        return self._movers[swimlane.number] is not None or swimlane.number in self._leaving

    def join(self, consumption: Consumption) -> None:
        """Let a consumer take its share."""
        self._consumptions.append(consumption)
        self.share_out()

    def leave(self, consumption: Consumption) -> None:
        """Take a consumer's swimlanes from it, for the others."""
        self._consumptions.remove(consumption)
        for swimlane in self._swimlanes:
            if self._movers[swimlane.number] is consumption:
                self._movers[swimlane.number] = None
                self._subscription.enter(swimlane)
            if self.holders[swimlane.number] is consumption:
                if swimlane.number in self._leaving:
                    self.move(swimlane)
                else:
                    self._take_away(swimlane)
        self.share_out()

    def send_off(self, number: int) -> None:
        """Let another server have so many of the swimlanes, those first that are idle."""
        tenure = self._subscription.tenure
        kept = [
            each
            for each in self._swimlanes
            if tenure is not None
            and each.number in tenure.leases
            and each.number not in self._leaving
        ]
        for swimlane in sorted(kept, key=lambda each: each.in_hands)[:number]:
            self._movers[swimlane.number] = None
            self._leaving.add(swimlane.number)
            if swimlane.state is SwimlaneState.LIVE:
                swimlane.leave_head(self._dispatcher.head(swimlane.number))
            self._subscription.enter(swimlane)
            self.move_if_idle(swimlane)

    def lose(self, swimlane: Swimlane) -> None:
        """Another server has the swimlane: nothing of it is ours, not even to be stored."""
        self._leaving.discard(swimlane.number)
        if self.holders[swimlane.number] is not None:
            self._release(swimlane)

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
        if swimlane.number in self._leaving:
            self._leaving.discard(swimlane.number)
            if self._subscription.tenure is not None:
                self._subscription.tenure.let_go(swimlane)
        if taker is not None:
            self._give(swimlane, taker)
        self._subscription.feeding.soon()

    def move_if_idle(self, swimlane: Swimlane) -> None:
        """Hand a moving swimlane over once nothing of it is in its consumer's hands."""
        if swimlane.in_hands == 0 and self.is_moving(swimlane):
            self.move(swimlane)

    def _take_away(self, swimlane: Swimlane) -> None:
        if swimlane.settle(self._dispatcher.head(swimlane.number)):
            self._dispatcher.positions.moved(self._subscription, swimlane)
        self._release(swimlane)

    def _release(self, swimlane: Swimlane) -> None:
        self.holders[swimlane.number] = None
        self._movers[swimlane.number] = None
        self._subscription.parking.forget_replays(swimlane)
        swimlane.release()

    def share_out(self) -> None:
        """Give swimlanes without a consumer to those with the fewest, then even out."""
        if not self._consumptions:
            return
        shares: dict[Consumption, list[Swimlane]] = {each: [] for each in self._consumptions}
        tenure = self._subscription.tenure
        ours = [
            each
            for each in self._swimlanes
            if each.number not in self._leaving and (tenure is None or each.number in tenure.leases)
        ]
        for swimlane in ours:
            future_holder = self._movers[swimlane.number] or self.holders[swimlane.number]
            if future_holder is not None:
                shares[future_holder].append(swimlane)
        for swimlane in ours:
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
                swimlane.leave_head(self._dispatcher.head(swimlane.number))
            self._subscription.enter(swimlane)
            self.move_if_idle(swimlane)
        self._subscription.feeding.soon()

    def _give(self, swimlane: Swimlane, taker: Consumption) -> None:
        self.holders[swimlane.number] = taker
        self._subscription.enter(swimlane)
