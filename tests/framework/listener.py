"""A clock that ticks, and a subscriber that notes what it hears, and may be held up."""

import asyncio
from collections import defaultdict

from eventuary import (
    Aggregate,
    Context,
    Durability,
    Event,
    EventStore,
    ReadFrom,
    Repository,
    Subscriber,
    apply,
)


class TickEvent(Event, entity="Clock"): ...


class Ticked(TickEvent):
    number: int


class Chimed(TickEvent):
    hour: int


class Clock(Aggregate):
    @apply
    def _all(self, event: Ticked | Chimed) -> None: ...


class Listener:
    """A subscriber to ticks that notes what it hears, and may be held up."""

    def __init__(
        self,
        subscriber_id: str = "listener",
        *,
        durability: Durability = Durability.DURABLE,
        read_from: ReadFrom = ReadFrom.BEGINNING,
    ) -> None:
        self.heard: list[int] = []
        self.by_clock: dict[str, list[int]] = defaultdict(list)
        self.begun: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.subscriber = Subscriber(subscriber_id, durability=durability, read_from=read_from)
        self.subscriber.on(Ticked)(self._hear)

    async def _hear(self, event: Ticked, context: Context) -> None:
        self.begun.append(event.number)
        await self.open.wait()
        self.heard.append(event.number)
        self.by_clock[context.entity_id].append(event.number)


async def tick(store: EventStore, *numbers: int, clock: str = "c") -> None:
    clocks = Repository(store, Clock)
    for number in numbers:
        if await clocks.exists(clock):
            await clocks.update(clock, lambda _, number=number: Ticked(number))  # type: ignore[misc]  # of a loop
        else:
            await clocks.save(Ticked(number), entity_id=clock)
