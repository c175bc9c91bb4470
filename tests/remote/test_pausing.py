"""A consumer that is paused: nothing is read for it, and its answers go through nevertheless."""

import asyncio
from collections.abc import Sequence

from eventuary.delivery.consumer import Delivery
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.events import NewEvent
from eventuary.remote import RemoteEventStore
from tests.event_store.recorder import PATIENCE, Recorder
from tests.remote.proxy import Proxy

TYPE = "T"
SELECTION = {TYPE: ["E"]}

#: 64 MB of events, far more than sockets hold, in windows that they all fit into.
_EVENTS = 1000
_SIZE = 64_000
_ALL = DeliveryPolicy(window=_EVENTS)
_SOCKETS_HOLD = 24_000_000


class Pausing(Recorder):
    """Pauses with the first delivery."""

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        super().deliver(deliveries)
        if self.consumer is not None and len(self.deliveries) == len(deliveries):
            self.consumer.pause()


async def write(store: RemoteEventStore) -> None:
    for entity in range(_EVENTS // 50):
        await store.create(
            "default", TYPE, [NewEvent("E", "x" * _SIZE)] * 50, entity_id=f"e{entity}"
        )


async def until_still(proxy: Proxy) -> int:
    """Return how much has passed once nothing more does: there is nothing that tells of that."""
    passed = -1
    async with asyncio.timeout(PATIENCE):
        while passed != proxy.bytes_to_clients:
            passed = proxy.bytes_to_clients
            await asyncio.sleep(0.3)
    return passed


async def test_what_waits_for_a_paused_consumer_is_bounded(
    store: RemoteEventStore, stomp_proxy: Proxy
) -> None:
    await write(store)
    recorder = Pausing()
    recorder.consumer = await store.subscribe("default", "view", SELECTION, recorder, policy=_ALL)
    await recorder.until_events(1)
    at_first = len(recorder.deliveries)
    assert await until_still(stomp_proxy) < _SOCKETS_HOLD
    assert len(recorder.deliveries) == at_first, "it got something while it was paused"
    recorder.consumer.resume()
    await recorder.until_events(_EVENTS)
    for lane in range(8):
        offsets = [each.offset for each in recorder.events if each.swimlane == lane]
        assert offsets == sorted(set(offsets))
    async with asyncio.timeout(PATIENCE):
        await recorder.consumer.caught_up()


async def test_a_paused_consumer_may_answer_flush_and_leave(
    store: RemoteEventStore, direct: RemoteEventStore
) -> None:
    await write(store)
    recorder = Pausing(acknowledging=False)
    recorder.consumer = await store.subscribe("default", "view", SELECTION, recorder, policy=_ALL)
    await recorder.until_events(1)
    first = recorder.events[0]
    recorder.acknowledge([first])
    async with asyncio.timeout(PATIENCE):
        await recorder.consumer.flush()
    at_first = len(recorder.deliveries)
    assert recorder.deliveries[0] is first
    async with asyncio.timeout(PATIENCE):
        await recorder.consumer.close()
    assert len(recorder.deliveries) == at_first
    again = Recorder()
    again.consumer = await direct.subscribe("default", "view", SELECTION, again)
    await again.until_events(_EVENTS - 1)
    assert first.event.event_id not in {each.event.event_id for each in again.events}


async def test_what_arrives_while_paused_for_a_flush_is_handed_over_on_resume(
    store: RemoteEventStore,
) -> None:
    recorder = Recorder(acknowledging=False)
    recorder.consumer = await store.subscribe("default", "view", SELECTION, recorder)
    one = await store.create("default", TYPE, [NewEvent("E", "0")])
    await recorder.until_events(1)
    recorder.acknowledge(recorder.events)
    recorder.consumer.pause()
    await store.append(
        "default", TYPE, one.entity_id, one.entity_version,
        [NewEvent("E", str(number)) for number in range(1, 50)],
    )  # fmt: skip
    await recorder.consumer.flush()
    assert recorder.data == ["0"]
    recorder.consumer.resume()
    await recorder.until_events(50)
    assert recorder.data == [str(number) for number in range(50)]
