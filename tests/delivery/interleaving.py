"""The law of delivery as a world to play scripts in, on the real store: whatever the order of
subscribe, acknowledge, refuse, disconnect, stall, restart and append, no event is lost, and order
is kept.

The order that is promised: within a swimlane, an event is delivered for the first time only after
all those before it; it may come again, but never after something later was delivered *and* it was
acknowledged. Once everybody acknowledges, everything has been acknowledged exactly up to the head.
"""

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from eventuary.delivery.consumer import Delivery
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import LogQuery
from eventuary.engines.opening import open_engine
from eventuary.events import EventType, NewEvent
from tests.event_store.recorder import PATIENCE, Recorder

SELECTION = {"T": ["E"]}
POLICY = DeliveryPolicy(window=4, max_attempts=1000, first_pause=0.001, longest_pause=0.002)

steps = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 4), st.integers(1, 6)),
    st.tuples(st.just("unselected"), st.integers(0, 4), st.integers(1, 3)),
    st.tuples(st.just("join"), st.just(0), st.just(0)),
    st.tuples(st.just("leave"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("acknowledge"), st.integers(0, 3), st.integers(0, 20)),
    st.tuples(st.just("refuse"), st.integers(0, 3), st.integers(0, 20)),
    st.tuples(st.just("stall"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("resume"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("turn"), st.integers(1, 5), st.just(0)),
    st.tuples(st.just("flush"), st.just(0), st.just(0)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
)

#: Besides these, where several servers share a storage.
steps_of_servers = st.one_of(steps, st.tuples(st.just("lose"), st.integers(0, 1), st.just(0)))

#: What becomes of the consumers when a script has been played.
endings = st.sampled_from(["they go on", "others leave", "all leave"])


class World:
    """A store, the consumers of one subscription, and all that was delivered to them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.consumers: list[Recorder] = []
        self.pending: list[tuple[Recorder, Delivery]] = []
        self.first_seen: dict[int, list[int]] = defaultdict(list)
        self.acknowledged: set[int] = set()
        self.appended: list[str] = []
        self.versions: dict[str, str] = {}
        self.stores: list[EmbeddedEventStore] = []

    @property
    def store(self) -> EmbeddedEventStore:
        """The store, or one of those over the same database."""
        return self.stores[0]

    async def open(self) -> None:
        """Start what there is."""
        self.stores = [EmbeddedEventStore(open_engine(f"sqlite:{self._path}"), policy=POLICY)]
        await self.store.start()

    async def close(self) -> None:
        """End what there is, in good order."""
        for each in self.stores:
            await each.stop()

    async def append(self, entity: int, events: int, event_type: str = "E") -> None:
        entity_id = f"entity-{entity}"
        new = [NewEvent(event_type, f"{len(self.appended) + at}") for at in range(events)]
        if event_type == "E":
            self.appended += [event.event_data for event in new]
        if entity_id in self.versions:
            outcome = await self.store.append("s", "T", entity_id, self.versions[entity_id], new)
        else:
            outcome = await self.store.create("s", "T", new, entity_id=entity_id)
        self.versions[entity_id] = outcome.entity_version

    async def join(self) -> None:
        recorder = Watched(self)
        recorder.consumer = await self.store.subscribe("s", "view", SELECTION, recorder)
        self.consumers.append(recorder)

    async def leave(self, number: int) -> None:
        recorder = self.consumers.pop(number % len(self.consumers))
        self.pending = [each for each in self.pending if each[0] is not recorder]
        assert recorder.consumer is not None
        await recorder.consumer.close()

    def answer(self, at: int, *, good: bool) -> None:
        if not self.pending:
            return
        recorder, delivery = self.pending.pop(at % len(self.pending))
        assert recorder.consumer is not None
        if good:
            if recorder.consumer.acknowledge(delivery.swimlane, delivery.offset):
                self.acknowledged.add(delivery.offset)
        else:
            recorder.consumer.refuse(delivery.swimlane, delivery.offset, "refused by the test")

    def seen(self, recorder: Recorder, delivery: Delivery) -> None:
        firsts = self.first_seen[delivery.swimlane]
        if delivery.offset not in firsts:
            assert not firsts or delivery.offset > firsts[-1], "a first delivery out of order"
            firsts.append(delivery.offset)
        self.pending.append((recorder, delivery))

    async def restart(self) -> None:
        await self.close()
        self.consumers.clear()
        self.pending.clear()
        await self.open()

    def lose(self, server: int) -> None:
        """A server has renewed its leases too late: it holds nothing, until it renews them."""
        tenancy = self.stores[server]._dispatcher.tenancy
        assert tenancy is not None, "nothing is leased where no storage is shared"
        tenancy._lose_all()

    async def finish(self, ending: str) -> None:
        """Let all be acknowledged, by those who are there or by others; nothing may be missing."""
        if ending == "all leave":
            while self.consumers:
                await self.leave(0)
        if ending != "they go on" or not self.consumers:
            await self.join()
        while ending == "others leave" and len(self.consumers) > 1:
            await self.leave(0)
        for recorder in self.consumers:
            assert recorder.consumer is not None
            recorder.consumer.resume()
        async with asyncio.timeout(PATIENCE):
            while (await self.store.subscriptions.inspect("s", "view")).lag:
                while self.pending:
                    self.answer(0, good=True)
                await asyncio.sleep(0.001)
        log = await self.store.read_log(LogQuery("s", 0, types=frozenset([EventType("T", "E")])))
        assert [event.event_data for event in log.events] == self.appended
        for event in log.events:
            assert event.position in self.first_seen[event.swimlane], "never delivered"
            assert event.position in self.acknowledged, "passed over without acknowledgement"
        await self.close()


class Watched(Recorder):
    """A consumer that answers only when the test says so."""

    def __init__(self, world: World) -> None:
        super().__init__(acknowledging=False)
        self._world = world

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        super().deliver(deliveries)
        for delivery in deliveries:
            self._world.seen(self, delivery)


async def play(script: list[tuple[str, int, int]], ending: str) -> None:
    """Play a script in a world of its own. Raises AssertionError when the law is broken."""
    with tempfile.TemporaryDirectory() as folder:
        await play_in(World(Path(folder) / "e.db"), script, ending)


async def play_in(world: World, script: list[tuple[str, int, int]], ending: str) -> None:
    """Play a script in a world that is not open yet."""
    await world.open()
    for verb, number, more in script:
        if verb == "append":
            await world.append(number, more)
        elif verb == "unselected":
            await world.append(number, more, "other")
        elif verb == "join" and len(world.consumers) < 4:
            await world.join()
        elif verb in ("leave", "stall", "resume", "flush") and not world.consumers:
            continue
        elif verb == "leave":
            await world.leave(number)
        elif verb in ("acknowledge", "refuse"):
            world.answer(more, good=verb == "acknowledge")
        elif verb in ("stall", "resume"):
            consumer = world.consumers[number % len(world.consumers)].consumer
            assert consumer is not None
            consumer.pause() if verb == "stall" else consumer.resume()
        elif verb == "turn":
            for _ in range(number):
                await asyncio.sleep(0.0005)
        elif verb == "flush":
            consumer = world.consumers[0].consumer
            assert consumer is not None
            await consumer.flush()
        elif verb == "restart":
            await world.restart()
        elif verb == "lose":
            world.lose(number)
    await world.finish(ending)
