"""One subscriber's consumers on several servers: each swimlane is delivered by one at a time.

The servers are event stores of one process, over one PostgreSQL; what kills and pauses them from
outside is in tests/acceptance.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from eventuary.delivery import tenancy
from eventuary.delivery.consumer import Delivery
from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import Lease, Leasing, SwimlanePosition
from eventuary.engines.opening import open_engine
from eventuary.engines.postgres.leasing import LEASE_SECONDS, PostgresLeasing
from eventuary.errors import Conflict, NotFound
from eventuary.events import NewEvent
from tests.event_store.recorder import Recorder

SELECTION = {"T": ["E"]}

#: Seconds within which what is changed on one server has reached the others.
SOON = 10.0


@pytest.fixture
def lease_seconds() -> float:
    """Longer than any machine is busy: only the tests of their end let leases end."""
    return 60.0


@pytest.fixture
async def stores(
    postgres_url: str, lease_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[EmbeddedEventStore]]:
    monkeypatch.setattr(PostgresLeasing, "lease_seconds", lease_seconds)
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(EmbeddedEventStore(open_engine(postgres_url)))
            for _ in range(3)
        ]


async def subscribe(
    store: EmbeddedEventStore,
    recorder: Recorder | None = None,
    policy: DeliveryPolicy | None = None,
) -> Recorder:
    recorder = recorder or Recorder()
    recorder.consumer = await store.subscribe("s", "view", SELECTION, recorder, policy=policy)
    return recorder


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(SOON):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {SOON:g} s: {what}") from None


def held(store: EmbeddedEventStore) -> set[int]:
    """The swimlanes that a store holds of the subscription."""
    return {
        number
        for each in store._dispatcher.open_subscriptions()
        if each.tenure is not None
        for number in each.tenure.leases
    }


async def shared_out(stores: Sequence[EmbeddedEventStore], *shares: int) -> None:
    await until(lambda: [len(held(each)) for each in stores] == list(shares), f"shares {shares}")
    everything = [number for each in stores for number in held(each)]
    assert sorted(everything) == sorted(set(everything))


async def append(store: EmbeddedEventStore, number: int, entity: str, version: str | None) -> str:
    event = [NewEvent("E", str(number))]
    if version is None:
        return (await store.create("s", "T", event, entity_id=entity)).entity_version
    return (await store.append("s", "T", entity, version, event)).entity_version


class Judge:
    """All deliveries to all consumers: none is missing, and an entity's are in order."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, list[int]] = defaultdict(list)

    def recorder(self) -> Recorder:
        return _Judged(self)

    @property
    def total(self) -> int:
        return sum(len(each) for each in self.acknowledged.values())


class _Judged(Recorder):
    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge = judge

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        assert self.consumer is not None
        for delivery in deliveries:
            if self.consumer.acknowledge(delivery.swimlane, delivery.offset):
                self._judge.acknowledged[delivery.event.entity_id].append(
                    int(delivery.event.event_data)
                )


async def test_swimlanes_are_shared_by_consumers(stores: list[EmbeddedEventStore]) -> None:
    one = await subscribe(stores[0])
    await shared_out(stores, 8, 0, 0)
    two = await subscribe(stores[1])
    await shared_out(stores, 4, 4, 0)
    await subscribe(stores[1])
    three = await subscribe(stores[2])
    await shared_out(stores, 2, 4, 2)
    assert one.consumer is not None
    await one.consumer.close()
    await until(lambda: len(held(stores[0])) == 0, "the first has left")
    assert two.consumer is not None
    await two.consumer.close()
    await shared_out(stores, 0, 4, 4)
    assert three.consumer is not None
    await three.consumer.close()
    await shared_out(stores, 0, 8, 0)


async def test_each_event_is_delivered_once_and_in_order_while_servers_come_and_go(
    stores: list[EmbeddedEventStore],
) -> None:
    judge = Judge()
    first = await subscribe(stores[0], judge.recorder())
    entities = [f"e{number}" for number in range(24)]
    expected: dict[str, list[int]] = defaultdict(list)
    going_on = True

    async def write(entity: str, number: int) -> None:
        version = None
        store = stores[number % 3]
        while going_on:
            at = len(expected[entity])
            version = await append(store, at, entity, version)
            expected[entity].append(at)
            await asyncio.sleep(0.02)

    writing = [asyncio.create_task(write(entity, n)) for n, entity in enumerate(entities)]
    second = await subscribe(stores[1], judge.recorder())
    await shared_out(stores, 4, 4, 0)
    third = await subscribe(stores[2], judge.recorder())
    await shared_out(stores, 3, 3, 2)
    assert first.consumer is not None
    await first.consumer.close()
    await shared_out(stores, 0, 4, 4)
    await subscribe(stores[0], judge.recorder())
    await shared_out(stores, 3, 3, 2)
    for recorder in (second, third):
        assert recorder.consumer is not None
        await recorder.consumer.close()
    await shared_out(stores, 8, 0, 0)
    going_on = False
    await asyncio.gather(*writing)
    total = sum(len(each) for each in expected.values())
    await until(lambda: judge.total >= total, "all is delivered")
    # Nobody was killed: each event was acknowledged once, where it was delivered.
    wrong = {
        entity: (seen, len(expected[entity]))
        for entity, seen in judge.acknowledged.items()
        if seen != expected[entity]
    }
    assert not wrong


async def test_a_swimlane_moves_when_nothing_of_it_is_in_hands(
    stores: list[EmbeddedEventStore],
) -> None:
    slow = await subscribe(stores[0], Recorder(acknowledging=False))
    await shared_out(stores, 8, 0, 0)
    for number in range(16):
        await append(stores[0], number, f"e{number}", None)
    await slow.until_events(16)
    busy = {each.swimlane for each in slow.events}
    assert len(busy) > 4
    other = await subscribe(stores[1])
    idle = set(range(8)) - busy
    await until(lambda: held(stores[1]) == idle, "idle swimlanes have moved")
    # The rest is let go one by one, as it is answered; nothing comes twice.
    slow.acknowledge(slow.events)
    await shared_out(stores, 4, 4, 0)
    await append(stores[0], 16, "e16", None)
    await until(lambda: "16" in slow.data + other.data, "the next event is delivered")
    assert sorted(map(int, slow.data + other.data)) == list(range(17))


async def test_a_subscription_that_two_servers_begin_at_once_is_one(
    stores: list[EmbeddedEventStore],
) -> None:
    await append(stores[0], 0, "e0", None)
    recorders = await asyncio.gather(*(subscribe(each) for each in stores for _ in range(3)))
    await until(lambda: sum(len(each.data) for each in recorders) > 0, "it is delivered")
    # Which of them has one less depends on who came first.
    await until(lambda: sorted(len(held(each)) for each in stores) == [2, 3, 3], "it is shared out")
    assert sum(len(each.data) for each in recorders) == 1


async def test_changes_reach_the_other_servers(stores: list[EmbeddedEventStore]) -> None:
    one, two = await subscribe(stores[0]), await subscribe(stores[1])
    await shared_out(stores, 4, 4, 0)
    await stores[2].subscriptions.pause("s", "view")
    of = [each._dispatcher.open_subscriptions()[0] for each in stores[:2]]
    await until(lambda: all(each.paused for each in of), "both are paused")
    for number in range(16):
        await append(stores[2], number, f"e{number}", None)
    status = await stores[2].subscriptions.inspect("s", "view")
    assert (status.lag, status.consumers, status.paused) == (16, 2, True)
    assert {each.state for each in status.swimlanes} == {"elsewhere"}
    assert not one.data + two.data
    await stores[0].subscriptions.resume("s", "view")
    await until(lambda: len(one.data + two.data) == 16, "all is delivered")
    assert await stores[2].subscriptions.caught_up("s", "view", SOON)
    assert (await stores[2].subscriptions.inspect("s", "view")).lag == 0

    policy = DeliveryPolicy(window=7)
    await stores[1].subscriptions.change_policy("s", "view", policy)
    await until(lambda: all(each.policy == policy for each in of), "both obey")

    other = Recorder()
    other.consumer = await stores[2].subscribe("s", "view", {"T": ["F"]}, other)
    await until(lambda: all(each.selection.types == {("T", "F")} for each in of), "both select")

    await stores[0].subscriptions.delete("s", "view")
    await until(lambda: two.closed_because and other.closed_because, "consumers are told")
    assert "was deleted" in str(two.closed_because)
    with pytest.raises(NotFound):
        await stores[1].subscriptions.inspect("s", "view")


async def test_a_reset_on_one_server_holds_on_all(stores: list[EmbeddedEventStore]) -> None:
    recorders = [await subscribe(each) for each in stores[:2]]
    await shared_out(stores, 4, 4, 0)
    for number in range(16):
        await append(stores[2], number, f"e{number}", None)
    await until(lambda: sum(len(each.data) for each in recorders) == 16, "all is delivered")
    assert await stores[2].subscriptions.caught_up("s", "view", SOON)
    await stores[2].subscriptions.reset("s", "view", {0: 8})
    await until(lambda: sum(len(each.data) for each in recorders) == 24, "the rest comes again")
    again = sorted(int(data) for each in recorders for data in each.data)
    assert again == sorted([*range(16), *range(8, 16)])
    assert await stores[2].subscriptions.caught_up("s", "view", SOON)
    await until(lambda: len(held(stores[0]) | held(stores[1])) == 8, "all is held again")


async def test_a_dead_letter_of_another_server_is_replayed_and_discarded(
    stores: list[EmbeddedEventStore],
) -> None:
    policy = DeliveryPolicy(max_attempts=1, on_dead_letter=OnDeadLetter.WAIT)
    refusing = await subscribe(stores[0], Recorder(acknowledging=False), policy=policy)
    await shared_out(stores, 8, 0, 0)
    version = None
    for number in range(3):
        version = await append(stores[1], number, "e", version)
    await refusing.until_events(3)
    assert refusing.consumer is not None
    refusing.acknowledging = True
    first = refusing.events[0]
    refusing.consumer.refuse(first.swimlane, first.offset, "why not")

    async def dead_letters() -> list[int]:
        return [each.position for each in await stores[1].subscriptions.dead_letters("s", "view")]

    async with asyncio.timeout(SOON):
        while await dead_letters() != [first.offset]:
            await asyncio.sleep(0.01)
    await stores[1].subscriptions.replay("s", "view", first.offset)
    await until(lambda: refusing.data[3:4] == ["0"], "it is delivered again")
    await until(lambda: refusing.data[3:] == ["0", "1", "2"], "and those behind it")
    async with asyncio.timeout(SOON):
        while await dead_letters():
            await asyncio.sleep(0.01)

    refusing.acknowledging = False
    version = await append(stores[1], 3, "e", version)
    await refusing.until_events(7)
    last = refusing.events[-1]
    refusing.consumer.refuse(last.swimlane, last.offset, "why not")
    async with asyncio.timeout(SOON):
        while await dead_letters() != [last.offset]:
            await asyncio.sleep(0.01)
    await stores[2].subscriptions.discard("s", "view", last.offset)
    async with asyncio.timeout(SOON):
        while await dead_letters():
            await asyncio.sleep(0.01)
    await append(stores[1], 4, "e", version)
    await refusing.until_events(8)
    assert refusing.data[7] == "4"
    await refusing.consumer.close()
    await until(lambda: not held(stores[0]), "nobody holds it")


async def test_a_dead_letter_halts_its_swimlane_wherever_it_moves(
    stores: list[EmbeddedEventStore],
) -> None:
    policy = DeliveryPolicy(max_attempts=1)
    refusing = await subscribe(stores[0], Recorder(acknowledging=False), policy=policy)
    await shared_out(stores, 8, 0, 0)
    version = await append(stores[0], 0, "e", None)
    await append(stores[0], 1, "e", version)
    await refusing.until_events(2)
    assert refusing.consumer is not None
    refusing.consumer.refuse(refusing.events[0].swimlane, refusing.events[0].offset, "no")
    async with asyncio.timeout(SOON):
        while not await stores[1].subscriptions.dead_letters("s", "view"):
            await asyncio.sleep(0.01)
    await refusing.consumer.close()
    with pytest.raises(Conflict, match="is not connected"):
        await stores[1].subscriptions.replay("s", "view", refusing.events[0].offset)
    other = await subscribe(stores[1])
    await shared_out(stores, 0, 8, 0)
    lane = refusing.events[0].swimlane
    subscription = stores[1]._dispatcher.open_subscriptions()[0]
    await until(lambda: subscription.swimlanes[lane].state == "halted", "it halts there")
    assert other.data == []
    await stores[2].subscriptions.replay("s", "view", refusing.events[0].offset)
    await until(lambda: other.data == ["0", "1"], "it goes on")


# ── Leases that end ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lease_seconds", [LEASE_SECONDS])
async def test_what_is_not_renewed_in_time_is_delivered_by_others_and_not_here(
    stores: list[EmbeddedEventStore],
) -> None:
    """A server that can't reach the database for long enough stops by its own clock."""
    stale = await subscribe(stores[0], Recorder(acknowledging=False))
    await shared_out(stores, 8, 0, 0)
    await append(stores[1], 0, "e", None)
    await stale.until_events(1)
    other = await subscribe(stores[1])
    keeper = stores[0]._dispatcher.tenancy
    assert keeper is not None
    for task in keeper._tasks:  # as if no renewal got through
        task.cancel()
    await shared_out(stores, 0, 8, 0)
    await until(lambda: other.data == ["0"], "the other delivers it again")
    assert stale.consumer is not None
    late = stale.events[0]
    assert not stale.consumer.acknowledge(late.swimlane, late.offset)
    await append(stores[0], 1, "f", None)
    await until(lambda: other.data == ["0", "1"], "the other delivers what follows")
    assert stale.data == ["0"]


async def test_what_was_lost_by_a_late_renewal_is_not_kept_from_others(
    stores: list[EmbeddedEventStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the late server's in storage still, and by now more than its share."""
    await subscribe(stores[0])
    await shared_out(stores, 8, 0, 0)
    keeper = stores[0]._dispatcher.tenancy
    assert keeper is not None
    renew = keeper._renew
    is_late, goes_on = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        is_late.set()
        await goes_on.wait()
        await renew()

    monkeypatch.setattr(keeper, "_renew", late)
    await is_late.wait()
    keeper._lose_all()
    await subscribe(stores[1])
    [other] = stores[1]._dispatcher.open_subscriptions()
    tenure = other.tenure
    assert tenure is not None
    await until(lambda: tenure.announced, "the second is known")
    assert held(stores[0]) == held(stores[1]) == set()
    goes_on.set()
    await shared_out(stores, 4, 4, 0)


async def test_a_server_that_was_asleep_finds_out_before_it_delivers(
    stores: list[EmbeddedEventStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its timers have not run yet: the clock is asked with each delivery and each answer."""
    recorder = await subscribe(stores[0], Recorder(acknowledging=False))
    await shared_out(stores, 8, 0, 0)
    await append(stores[0], 0, "e", None)
    await recorder.until_events(1)
    now = tenancy._clock()
    monkeypatch.setattr("eventuary.delivery.tenancy._clock", lambda: now + 600.0)
    late = recorder.events[0]
    assert recorder.consumer is not None
    assert not recorder.consumer.acknowledge(late.swimlane, late.offset)
    assert held(stores[0]) == set()


async def test_what_is_held_no_more_is_not_stored(postgres_url: str) -> None:
    """Should a stale server store a position or a dead letter all the same, nothing comes of it."""
    stale, present = open_engine(postgres_url), open_engine(postgres_url)
    await stale.start(lambda _: None)
    await present.start(lambda _: None)
    leases: list[Leasing] = []
    for engine in (stale, present):
        assert engine.leasing is not None
        leases.append(engine.leasing)
    store = EmbeddedEventStore(open_engine(postgres_url))
    async with store:
        recorder = await subscribe(store)
        assert recorder.consumer is not None
        await recorder.consumer.close()
    await leases[0].renew()
    [shared] = await leases[0].look([("s", "view")])
    assert shared is not None
    taken = await leases[0].take("s", "view", shared.leases)
    assert [each.swimlane for each in sorted(taken, key=_swimlane)] == list(range(8))
    # Held by the first: the second gets none of it, and can store nothing without a lease.
    await leases[1].renew()
    [seen] = await leases[1].look([("s", "view")])
    assert seen is not None
    assert await leases[1].take("s", "view", seen.leases) == []
    await present.store_positions([SwimlanePosition("s", "view", 0, 5)])
    await stale.store_positions([SwimlanePosition("s", "view", 1, 6, taken[1].epoch)])
    assert await _positions(stale) == (0, 6, 0, 0, 0, 0, 0, 0)
    # The first leaves; the second takes; the first still believes that it holds.
    await leases[0].leave()
    [seen] = await leases[1].look([("s", "view")])
    assert seen is not None
    assert {each.holder for each in seen.leases} == {None}
    retaken = sorted(await leases[1].take("s", "view", seen.leases), key=_swimlane)
    assert [each.position for each in retaken] == [0, 6, 0, 0, 0, 0, 0, 0]
    await stale.store_positions([SwimlanePosition("s", "view", 1, 7, taken[1].epoch)])
    await present.store_positions([SwimlanePosition("s", "view", 2, 8, retaken[2].epoch)])
    assert await _positions(stale) == (0, 6, 8, 0, 0, 0, 0, 0)
    assert await leases[1].renew() == await leases[1].renew()
    await stale.stop()
    await present.stop()


def _swimlane(lease: Lease) -> int:
    return lease.swimlane


async def _positions(engine: object) -> tuple[int, ...]:
    [record] = await engine.load_subscriptions("s", "view")  # type: ignore[attr-defined]
    return tuple(record.positions)
