"""Delivery with faults: what a store may do to a subscriber, done on purpose.

It stands between a store and a subscriber, a receiver to the one and a consumer to the other, and
hands over one event of a swimlane at a time. What is to come again has its acknowledgement withheld
from the store until it was handled a second time: so a crash in between is one too.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence

import msgspec

from eventuary.delivery.consumer import Consumer, Delivery, Receiver
from eventuary.testing.crash import Process

#: Events of a swimlane that are handled before they come again, in order, at most.
_LONGEST_REWIND = 4

#: Seconds for which an event is held back at most, so that others can overtake it.
_LONGEST_HOLD = 0.004


class _Lane:
    """A swimlane's deliveries, each in one of these places."""

    __slots__ = ("again", "handled", "rewind_at", "under_way", "waiting")

    def __init__(self) -> None:
        #: Not handed over yet.
        self.waiting: list[Delivery] = []
        #: In the subscriber's hands.
        self.under_way: Delivery | None = None
        #: Handled once; the store does not know.
        self.handled: list[Delivery] = []
        #: Handled once, and on their way to be handled again.
        self.again: deque[Delivery] = deque()
        self.rewind_at = 1

    def clear(self) -> None:
        self.waiting.clear()
        self.under_way = None
        self.handled.clear()
        self.again.clear()


class FaultyDelivery:
    """Satisfies ``Receiver`` and ``Consumer``. Of no use to others before ``begin``."""

    def __init__(
        self,
        process: Process,
        receiver: Receiver,
        chance: random.Random,
        *,
        redeliver: bool,
        reorder: bool,
    ) -> None:
        self._process = process
        self._receiver = receiver
        self._chance = chance
        self._redeliver = redeliver
        self._reorder = reorder
        self._consumer: Consumer
        self._begun = False
        self._closed = False
        self._lanes: dict[int, _Lane] = {}
        self._loop = asyncio.get_running_loop()

    def begin(self, consumer: Consumer) -> None:
        """Hand over what came, and what comes."""
        self._consumer = consumer
        self._begun = True
        for lane in self._lanes.values():
            self._go_on_soon(lane)

    # ── As the store's receiver ───────────────────────────────────────────────────────────────

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Queue deliveries."""
        for delivery in deliveries:
            lane = self._lanes.get(delivery.swimlane)
            if lane is None:
                lane = self._lanes[delivery.swimlane] = _Lane()
            lane.waiting.append(delivery)
            self._go_on_soon(lane)

    def interrupted(self) -> None:
        """Forget what came: it comes again."""
        for lane in self._lanes.values():
            lane.clear()
        self._receiver.interrupted()

    def closed(self, reason: str) -> None:
        """Tell the subscriber, if it lives."""
        self._closed = True
        if not self._process.dead:
            self._receiver.closed(reason)

    # ── As the subscriber's consumer ──────────────────────────────────────────────────────────

    @property
    def space(self) -> str:
        """The subscription's space."""
        return self._consumer.space

    @property
    def subscriber_id(self) -> str:
        """The subscription's subscriber id."""
        return self._consumer.subscriber_id

    def acknowledge(self, swimlane: int, offset: int) -> bool:
        """Take an acknowledgement; the store hears of it when the event is not to come again."""
        lane, delivery = self._answered(swimlane, offset)
        if lane is None or delivery is None or self._process.dead:
            return False
        if self._redeliver and delivery not in lane.again:
            lane.under_way = None
            lane.handled.append(delivery)
            if len(lane.handled) == 1:
                lane.rewind_at = self._chance.randint(1, _LONGEST_REWIND)
            self._go_on_soon(lane)
            return True
        what = f"acknowledgement of {_text(delivery)} by {self.subscriber_id}"
        if not self._process.passes(f"before the {what}"):
            return False
        self._consumer.acknowledge(swimlane, offset)
        self._process.passes(f"after the {what}")
        if lane.again:
            lane.again.popleft()
        lane.under_way = None
        self._go_on_soon(lane)
        return True

    def refuse(self, swimlane: int, offset: int, reason: str, *, for_good: bool = False) -> bool:
        """Pass a refusal on: the event comes again from the store, and what is behind it too."""
        lane, delivery = self._answered(swimlane, offset)
        if lane is None or delivery is None or self._process.dead:
            return False
        for each in (*lane.handled, *lane.again):
            if each is not delivery:
                self._consumer.acknowledge(each.swimlane, each.offset)
        before = [each for each in lane.waiting if each.offset < offset]
        lane.clear()
        lane.waiting += before
        self._go_on_soon(lane)
        return self._consumer.refuse(swimlane, offset, reason, for_good=for_good)

    async def caught_up(self) -> None:
        """Return when all is handled, as often as it is to be."""
        await self._consumer.caught_up()

    def pause(self) -> None:
        """Take no more for now."""
        self._consumer.pause()

    def resume(self) -> None:
        """Take deliveries again."""
        self._consumer.resume()

    async def flush(self) -> None:
        """Return when acknowledgements that the store was told of are on disk."""
        if not self._process.dead:
            await self._consumer.flush()

    async def close(self) -> None:
        """Leave: what is not acknowledged goes to others."""
        self._closed = True
        await self._consumer.close()

    # ── Handing over ──────────────────────────────────────────────────────────────────────────

    def _answered(self, swimlane: int, offset: int) -> tuple[_Lane | None, Delivery | None]:
        lane = self._lanes.get(swimlane)
        if lane is None or lane.under_way is None or lane.under_way.offset != offset:
            return None, None
        return lane, lane.under_way

    def _go_on_soon(self, lane: _Lane) -> None:
        if self._reorder:
            self._loop.call_later(self._chance.uniform(0, _LONGEST_HOLD), self._go_on, lane)
        else:
            self._loop.call_soon(self._go_on, lane)

    def _go_on(self, lane: _Lane) -> None:
        """Hand over what is next, unless something is under way."""
        if lane.under_way or not self._begun or self._closed or self._process.dead:
            return
        if not lane.again and (len(lane.handled) >= lane.rewind_at or not lane.waiting):
            lane.again.extend(
                msgspec.structs.replace(each, attempt=each.attempt + 1) for each in lane.handled
            )
            lane.handled.clear()
        if lane.again:
            lane.under_way = lane.again[0]
        elif lane.waiting:
            lane.under_way = lane.waiting.pop(self._choice(lane.waiting))
        if lane.under_way:
            self._receiver.deliver([lane.under_way])

    def _choice(self, waiting: Sequence[Delivery]) -> int:
        """Return the place of the next event: the first of its entity."""
        if not self._reorder:
            return 0
        first_of: dict[tuple[str, str], int] = {}
        for place, each in enumerate(waiting):
            first_of.setdefault((each.event.entity_type, each.event.entity_id), place)
        return self._chance.choice(list(first_of.values()))


def _text(delivery: Delivery) -> str:
    event = delivery.event
    return f"{event.event_type} of {event.entity_type} {event.entity_id}"
