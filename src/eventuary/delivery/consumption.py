"""One receiver's part in a subscription: what it is about to get, and what it answers."""

from collections import deque
from typing import TYPE_CHECKING

from eventuary.delivery.consumer import AckMode, Delivery, Receiver
from eventuary.errors import ServiceUnavailable
from eventuary.events import LogEvent

if TYPE_CHECKING:
    from eventuary.delivery.subscription import Subscription
    from eventuary.delivery.swimlane import Swimlane

#: Characters of event data that a receiver is handed at once before it is asked whether it can
#: take more.
MOST_BATCH_CHARACTERS = 256 * 1024


class Consumption:
    """Satisfies ``Consumer``. Made by ``Subscription.join``."""

    def __init__(
        self,
        subscription: "Subscription",
        receiver: Receiver,
        ack_mode: AckMode,
        *,
        progress_notifications: bool,
    ) -> None:
        self.subscription = subscription
        self.receiver = receiver
        self.ack_mode = ack_mode
        self.ready = True
        self.closed = False
        #: Swimlanes whose arrival at the present is still to be told.
        self.to_notify: set[int] = (
            {swimlane.number for swimlane in subscription.swimlanes}
            if progress_notifications
            else set()
        )
        self.held: set[Swimlane] = set()
        self._batch: list[Delivery] = []
        self._batch_characters = 0
        #: What was handed over, in order, for cumulative acknowledgements.
        self._handed: deque[tuple[int, int]] = deque()

    @property
    def space(self) -> str:
        """The subscription's space."""
        return self.subscription.space

    @property
    def subscriber_id(self) -> str:
        """The subscription's subscriber id."""
        return self.subscription.subscriber_id

    @property
    def can_take(self) -> bool:
        """Whether the batch may grow."""
        return self.ready and self._batch_characters < MOST_BATCH_CHARACTERS

    def add(self, event: LogEvent, swimlane: int, attempt: int) -> None:
        """Put an event into the batch."""
        self._batch.append(Delivery(event, swimlane, event.position, attempt))
        self._batch_characters += len(event.event_data)

    def hand_over(self) -> None:
        """Give the batch to the receiver."""
        batch = self._batch
        if not batch:
            return
        self._batch = []
        self._batch_characters = 0
        if not self.subscription.in_force:
            return  # by now it is another server's to deliver
        self.subscription.count_deliveries(batch)
        if self.ack_mode is AckMode.CUMULATIVE:
            self._handed.extend((delivery.swimlane, delivery.offset) for delivery in batch)
        self.receiver.deliver(batch)
        if self.ack_mode is AckMode.AUTO:
            for delivery in batch:
                self.subscription.acknowledge(self, delivery.swimlane, delivery.offset)

    def notify(self, delivery: Delivery) -> None:
        """Hand over a notification; it is acknowledged at minus its offset."""
        if self.ack_mode is AckMode.CUMULATIVE:
            self._handed.append((delivery.swimlane, -delivery.offset))
        self.receiver.deliver([delivery])

    def acknowledge(self, swimlane: int, offset: int) -> bool:
        """Say that a delivery is done; with cumulative acknowledgement, those before it too."""
        if self.ack_mode is not AckMode.CUMULATIVE:
            return self.subscription.acknowledge(self, swimlane, offset)
        if (swimlane, offset) not in self._handed:
            return False
        while True:
            handed = self._handed.popleft()
            self.subscription.acknowledge(self, *handed)
            if handed == (swimlane, offset):
                return True

    def refuse(self, swimlane: int, offset: int, reason: str, *, for_good: bool = False) -> bool:
        """Say that a delivery failed; ``for_good``: it is not to come again."""
        refused = self.subscription.refuse(self, swimlane, offset, reason, for_good=for_good)
        if refused and self._handed:
            # It comes again, and what was handed over behind it: a later answer must not cover it.
            self._handed = deque(
                each for each in self._handed if each[0] != swimlane or each[1] < offset
            )
        return refused

    def pause(self) -> None:
        """Take no more for now."""
        self.ready = False

    def resume(self) -> None:
        """Take deliveries again."""
        if not self.ready:
            self.ready = True
            self.subscription.feeding.soon()

    async def flush(self) -> None:
        """Return when all acknowledgements so far are on disk."""
        await self.subscription.flush()

    async def caught_up(self) -> None:
        """Return when all that is in the log by now has been acknowledged."""
        if self.closed or not await self.subscription.caught_up():
            raise ServiceUnavailable(f"subscription {self.subscriber_id!r} has ended")

    async def close(self) -> None:
        """Leave the subscription."""
        await self.subscription.leave(self)
