"""How far subscriptions are behind: selected events that are not acknowledged.

``Lags`` watches all of them, those that nobody consumes too. What was counted of such a one stays
true as long as its positions do: only what came since is counted the next time.
"""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from eventuary.delivery.selection import Selection
from eventuary.delivery.status import LAG_CAP, SubscriptionLag, SwimlaneState
from eventuary.engines.engine import Engine, LogQuery, SubscriptionRecord
from eventuary.errors import ServiceUnavailable
from eventuary.events import EventType

if TYPE_CHECKING:
    from eventuary.delivery.dispatcher import Dispatcher
    from eventuary.delivery.subscription import Subscription

_Key = tuple[str, str, bool]  # space, subscriber id, durable


async def lag_of(subscription: "Subscription", engine: Engine) -> int:
    """Return a subscription's lag, counted up to ``LAG_CAP``. Raises ServiceUnavailable."""
    outstanding = ahead = 0
    positions: dict[int, int] = {}
    for swimlane in subscription.swimlanes:
        if swimlane.state is SwimlaneState.LIVE:
            # It was given all up to the head, so that its position may stay far behind.
            outstanding += len(swimlane.unacknowledged)
        else:
            positions[swimlane.number] = swimlane.position
            ahead += len(swimlane.acknowledged)
    types = subscription.selection.types
    every = len(positions) == len(subscription.swimlanes)
    behind = await _count(engine, subscription.space, types, positions, engine.heads, every=every)
    return min(outstanding + max(0, behind - ahead), LAG_CAP)


async def _count(
    engine: Engine,
    space: str,
    types: frozenset[EventType],
    positions: dict[int, int],
    heads: tuple[int, ...],
    *,
    every: bool,
) -> int:
    """Count the events up to ``heads`` that are beyond the positions of their swimlanes.

    ``every``: these are all swimlanes that there are. Each event is visited once: between two
    positions, in the swimlanes that are at the lower one or below it.
    """
    found = 0
    for partition, head in enumerate(heads):
        here = {
            number: position
            for number, position in positions.items()
            if number % len(heads) == partition
        }
        steps = sorted(set(here.values())) or [head]
        for after, until in zip(steps, [*steps[1:], head], strict=True):
            numbers = frozenset(number for number, position in here.items() if position <= after)
            whole = every and len(numbers) == len(here)
            query = LogQuery(
                space,
                after,
                until=until,
                types=types,
                swimlanes=None if whole else numbers,
                partition=partition,
            )
            found += await engine.count(query, cap=LAG_CAP - found)
            if found >= LAG_CAP:
                return found
    return found


class _Counted(msgspec.Struct, frozen=True):
    """What was counted of a subscription that nobody consumes, up to the heads of then."""

    positions: tuple[int, ...]
    selection: dict[str, list[str]]
    heads: tuple[int, ...]
    lag: int


class Lags:
    """All subscriptions with their lags, as they were at the last look. Looking takes turns."""

    def __init__(self, dispatcher: "Dispatcher") -> None:
        self._dispatcher = dispatcher
        self._looking: asyncio.Task[None] | None = None
        self._shown: list[_Key] = []
        self._known: dict[_Key, SubscriptionLag] = {}
        self._counted: dict[_Key, _Counted] = {}
        #: How many subscriptions there were, those beyond the most too.
        self.total = 0

    @property
    def looking(self) -> bool:
        """Whether a look is under way."""
        return self._looking is not None and not self._looking.done()

    @property
    def known(self) -> list[SubscriptionLag]:
        """What is known: those that are consumed first, then those that are furthest behind in
        the log. The first look adds one after the other.
        """
        return [self._known[key] for key in self._shown if key in self._known]

    async def look(self, most: int, patience: float) -> None:
        """Look at ``most`` subscriptions, or join the look that is under way.

        Returns after ``patience`` seconds though it is not over: it goes on by itself. When the
        storage can't be read, what was known before stays.
        """
        looking = self._looking
        if looking is None or looking.done():
            looking = self._looking = self._dispatcher.spawn(self._look(most))
        await asyncio.wait([looking], timeout=patience)
        if looking.done():
            looking.result()  # what nobody foresaw is for the caller

    async def _look(self, most: int) -> None:
        try:
            await self._look_at_all(most)
        except ServiceUnavailable:
            return

    async def _look_at_all(self, most: int) -> None:
        dispatcher = self._dispatcher
        engine = dispatcher.engine
        records = await engine.load_subscriptions(None)
        dead_letters = await engine.count_dead_letters()
        consumed = {
            (each.space, each.subscriber_id, each.durable): each
            for each in dispatcher.open_subscriptions()
        }
        left = {
            key: record
            for record in sorted(records, key=_standing)
            if (key := (record.space, record.subscriber_id, True)) not in consumed
        }
        self.total = len(consumed) + len(left)
        self._shown = [*consumed, *left][:most]
        self._known = {key: self._known[key] for key in self._shown if key in self._known}
        self._counted = {key: self._counted[key] for key in left if key in self._counted}
        for key in self._shown:
            if dispatcher.stopping:
                return
            subscription = consumed.get(key)
            if subscription is not None:
                lag = await lag_of(subscription, engine)
                consumers = len(subscription.consumptions)
            else:
                lag = await self._lag_of_record(key, left[key])
                consumers = 0
            space, subscriber_id, durable = key
            self._known[key] = SubscriptionLag(
                space,
                subscriber_id,
                "DURABLE" if durable else "TRANSIENT",
                consumers,
                lag,
                dead_letters.get((space, subscriber_id), 0) if durable else 0,
            )

    async def _lag_of_record(self, key: _Key, record: SubscriptionRecord) -> int:
        engine = self._dispatcher.engine
        heads = engine.heads
        before = self._counted.get(key)
        if (
            before is None
            or before.positions != record.positions
            or before.selection != record.selection
        ):
            positions, lag = dict(enumerate(record.positions)), 0
        else:
            swimlanes = range(len(record.positions))
            positions = {each: before.heads[each % len(heads)] for each in swimlanes}
            lag = before.lag
        if lag < LAG_CAP:
            types = Selection.of(record.selection).types
            lag += await _count(engine, record.space, types, positions, heads, every=True)
            lag = min(lag, LAG_CAP)
        self._counted[key] = _Counted(record.positions, record.selection, heads, lag)
        return lag


def _standing(record: SubscriptionRecord) -> tuple[int, str, str]:
    """Order those first that are furthest behind in the log; it stays until they are consumed."""
    return min(record.positions, default=0), record.space, record.subscriber_id
