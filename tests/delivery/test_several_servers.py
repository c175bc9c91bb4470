"""One subscriber's consumers on several servers: each swimlane is delivered by one at a time.

The servers are event stores of one process, over one PostgreSQL; what kills and pauses them from
outside is in tests/acceptance.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import pytest

from eventuary.delivery.consumer import Delivery
from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.embedded import EmbeddedEventStore
from eventuary.errors import Conflict, NotFound
from eventuary.event_store import ReadFrom
from tests.delivery.servers import (
    SELECTION,
    SOON,
    append,
    held,
    lease_seconds,
    leasing_class,
    shared_out,
    stores,
    subscribe,
    until,
)
from tests.event_store.recorder import Recorder

__all__ = ["lease_seconds", "leasing_class", "stores"]


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


async def test_the_end_of_the_log_is_that_of_all_servers(stores: list[EmbeddedEventStore]) -> None:
    """What another server has acknowledged a moment ago lies before it."""
    for number in range(20):
        await append(stores[0], number, f"before{number}", None)
        recorder = Recorder()
        recorder.consumer = await stores[1].subscribe(
            "s", f"view{number}", SELECTION, recorder, read_from=ReadFrom.END
        )
        await append(stores[0], -number, f"behind{number}", None)
        await recorder.until_events(1)
        assert recorder.data == [str(-number)]
        await recorder.consumer.close()


async def test_a_position_that_another_server_has_told_is_one(
    stores: list[EmbeddedEventStore],
) -> None:
    recorder = await subscribe(stores[1])
    for number in range(20):
        await append(stores[0], number, f"e{number}", None)
        await stores[1].subscriptions.reset("s", "view", {0: stores[0].head})
    await append(stores[0], 20, "e20", None)
    await until(lambda: "20" in recorder.data, "it goes on")


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
