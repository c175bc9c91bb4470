"""A refused event comes again, and before it nothing that was behind it."""

import random
from collections import defaultdict

import httpx

from eventuary.delivery.consumer import AckMode, Delivery
from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.events import NewEvent
from eventuary.remote import RemoteEventStore
from tests.event_store.recorder import Recorder
from tests.remote.conftest import Ports
from tests.remote.order_keeper import OrderKeeper

TYPE = "orders.Order"
SELECTION = {TYPE: ["Changed"]}
SOON = DeliveryPolicy(first_pause=0.001, longest_pause=0.01, max_attempts=10_000)


async def fill(store: RemoteEventStore, entities: int, events: int) -> None:
    for entity in range(entities):
        await store.create(
            "default",
            TYPE,
            [NewEvent("Changed", str(number)) for number in range(events)],
            entity_id=f"e{entity}",
        )


async def test_order_is_kept_whatever_is_refused(direct: RemoteEventStore) -> None:
    # Windows of 128 and many events behind each refusal: most are on their way when it is said.
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    await fill(direct, entities=12, events=300)
    keeper = OrderKeeper(lambda _: chance.random() < 0.02)
    keeper.consumer = await direct.subscribe("default", "view", SELECTION, keeper, policy=SOON)
    await keeper.until(lambda: len(keeper.handled) >= 12 * 300)
    by_entity: dict[str, list[int]] = defaultdict(list)
    for delivery in keeper.handled:
        by_entity[delivery.event.entity_id].append(int(delivery.event.event_data))
    assert keeper.refusals > 20
    assert keeper.interruptions == 0
    assert by_entity == {f"e{number}": list(range(300)) for number in range(12)}, f"seed {seed}"
    await keeper.consumer.caught_up()


async def test_an_attempt_has_its_number(direct: RemoteEventStore) -> None:
    attempts: list[int] = []

    def third_time(delivery: Delivery) -> bool:
        attempts.append(delivery.attempt)
        return delivery.event.event_data == "1" and delivery.attempt < 3

    await fill(direct, entities=1, events=3)
    keeper = OrderKeeper(third_time)
    keeper.consumer = await direct.subscribe("default", "view", SELECTION, keeper, policy=SOON)
    await keeper.until(lambda: len(keeper.handled) == 3)
    assert attempts == [1, 1, 2, 3, 1]


async def test_a_dead_letter_has_the_reason(server: Ports, direct: RemoteEventStore) -> None:
    reason = "It's 12:30,\n\\not now" + "é" * 10_000
    policy = DeliveryPolicy(max_attempts=1, on_dead_letter=OnDeadLetter.CONTINUE)
    await fill(direct, entities=1, events=2)
    recorder = Recorder(acknowledging=False)
    recorder.consumer = await direct.subscribe(
        "default", "view", SELECTION, recorder, policy=policy
    )
    await recorder.until_events(2)
    first = recorder.events[0]
    assert recorder.consumer.refuse(first.swimlane, first.offset, reason)
    assert not recorder.consumer.refuse(first.swimlane, first.offset, "again"), "it is answered"
    assert not recorder.consumer.acknowledge(first.swimlane, first.offset), "it is answered"
    # What was behind it comes again, and by then the dead letter is there.
    await recorder.until_events(3)
    assert recorder.data == ["0", "1", "1"]
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.http}", timeout=30
    ) as operator:
        answer = await operator.get("/v1/spaces/default/subscriptions/view/dead-letters")
    (letter,) = answer.json()["deadLetters"]
    assert letter["position"] == first.offset
    assert letter["reason"][:500] == reason[:500]


async def test_a_cumulative_answer_does_not_cover_what_a_refusal_voided(
    direct: RemoteEventStore,
) -> None:
    await fill(direct, entities=1, events=5)
    await direct.create("default", TYPE, [NewEvent("Changed", "last")], entity_id="other")
    recorder = Recorder(acknowledging=False)
    recorder.consumer = await direct.subscribe(
        "default", "view", SELECTION, recorder, ack_mode=AckMode.CUMULATIVE, policy=SOON
    )
    await recorder.until_events(6)
    by_data = {delivery.event.event_data: delivery for delivery in recorder.events}
    refused, last = by_data["2"], by_data["last"]
    assert refused.swimlane != last.swimlane
    assert recorder.consumer.refuse(refused.swimlane, refused.offset, "not now")
    recorder.acknowledge([last])
    await recorder.consumer.flush()
    await recorder.consumer.close()
    again = Recorder()
    again.consumer = await direct.subscribe("default", "view", SELECTION, again)
    await again.until_events(3)
    assert again.data == ["2", "3", "4"]
