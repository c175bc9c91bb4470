"""Connections that break under a subscription: it is told, mended, and loses nothing."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from eventuary.delivery.consumer import AckMode
from eventuary.errors import ServiceUnavailable
from eventuary.event_store import Durability
from eventuary.events import NewEvent
from eventuary.remote import RemoteEventStore
from tests.acceptance.server_process import ServerProcess
from tests.event_store.recorder import PATIENCE, Recorder
from tests.remote.conftest import Ports
from tests.remote.proxy import Proxy

TYPE = "orders.Order"
SELECTION = {TYPE: ["Changed"]}


def changed(number: int) -> list[NewEvent]:
    return [NewEvent("Changed", str(number))]


async def subscribe(
    store: RemoteEventStore, recorder: Recorder, subscriber_id: str = "view"
) -> Recorder:
    recorder.consumer = await store.subscribe("default", subscriber_id, SELECTION, recorder)
    return recorder


async def test_what_was_not_acknowledged_comes_again(
    store: RemoteEventStore, stomp_proxy: Proxy
) -> None:
    for number in range(3):
        await store.create("default", TYPE, changed(number), entity_id=f"e{number}")
    recorder = await subscribe(store, Recorder(acknowledging=False))
    consumer = recorder.consumer
    assert consumer is not None
    await recorder.until_events(3)
    by_data = {delivery.event.event_data: delivery for delivery in recorder.events}
    recorder.acknowledge([by_data["1"]])
    await consumer.flush()
    stomp_proxy.cut()
    await recorder.until(lambda: recorder.interruptions == 1)
    late = by_data["0"]
    assert not consumer.acknowledge(late.swimlane, late.offset), "its connection is gone"
    assert not consumer.refuse(late.swimlane, late.offset, "late"), "its connection is gone"
    await consumer.flush()  # of what can be: nothing
    await recorder.until_events(5)
    assert sorted(recorder.data[3:]) == ["0", "2"]
    recorder.acknowledge(recorder.events[3:])
    async with asyncio.timeout(PATIENCE):
        await consumer.caught_up()
    assert recorder.interruptions == 1
    assert recorder.closed_because is None
    assert stomp_proxy.connections == 2


async def test_a_flush_that_is_interrupted_fails(
    store: RemoteEventStore, stomp_proxy: Proxy
) -> None:
    await store.create("default", TYPE, changed(1))
    recorder = await subscribe(store, Recorder())
    await recorder.until_events(1)
    stomp_proxy.freeze()
    assert recorder.consumer is not None
    flushing = asyncio.ensure_future(recorder.consumer.flush())
    await asyncio.sleep(0)
    assert not flushing.done()
    stomp_proxy.cut()
    with pytest.raises(ServiceUnavailable):
        await flushing
    stomp_proxy.thaw()
    async with asyncio.timeout(PATIENCE):
        await recorder.consumer.caught_up()


async def test_a_server_that_is_not_heard_is_left(
    watchful: RemoteEventStore, stomp_proxy: Proxy
) -> None:
    recorder = await subscribe(watchful, Recorder())
    stomp_proxy.freeze()
    await recorder.until(lambda: recorder.interruptions == 1)
    stomp_proxy.thaw()
    await watchful.create("default", TYPE, changed(1))
    await recorder.until_events(1)


async def test_a_loop_that_is_held_up_is_no_silence_of_the_server(
    watchful: RemoteEventStore, stomp_proxy: Proxy
) -> None:
    recorder = await subscribe(watchful, Recorder())
    time.sleep(2.5)  # noqa: ASYNC251 - as a handler that blocks
    for _ in range(10):  # the watch is overdue, and looks now
        await asyncio.sleep(0.001)
    assert recorder.interruptions == 0
    assert stomp_proxy.connections == 1
    await watchful.create("default", TYPE, changed(1))
    await recorder.until_events(1)


async def test_caught_up_outlives_an_interruption(
    store: RemoteEventStore, stomp_proxy: Proxy
) -> None:
    await store.create("default", TYPE, changed(1))
    recorder = await subscribe(store, Recorder(acknowledging=False))
    await recorder.until_events(1)
    assert recorder.consumer is not None
    waiting = asyncio.ensure_future(recorder.consumer.caught_up())
    stomp_proxy.cut()
    await recorder.until_events(2)
    assert not waiting.done()
    recorder.acknowledge(recorder.events[1:])
    async with asyncio.timeout(PATIENCE):
        await waiting


async def test_the_present_is_told_once_whatever_breaks(
    store: RemoteEventStore, stomp_proxy: Proxy
) -> None:
    recorder = Recorder()
    recorder.consumer = await store.subscribe(
        "default", "view", SELECTION, recorder, progress_notifications=True
    )
    await recorder.until(lambda: len(recorder.deliveries) == 8)
    stomp_proxy.cut()
    await recorder.until(lambda: recorder.interruptions == 1)
    await store.create("default", TYPE, changed(1))
    await recorder.until_events(1)
    assert len(recorder.deliveries) == 9


async def test_automatic_acknowledgement_loses_nothing_on_the_way(
    store: RemoteEventStore, stomp_proxy: Proxy
) -> None:
    recorder = Recorder(acknowledging=False)
    recorder.consumer = await store.subscribe(
        "default", "view", SELECTION, recorder, ack_mode=AckMode.AUTO
    )
    stomp_proxy.freeze()
    for number in range(20):  # written to the socket by the server, and never here
        await store.create("default", TYPE, changed(number))
    stomp_proxy.cut()
    stomp_proxy.thaw()
    await recorder.until_events(20)
    assert sorted(recorder.data, key=int) == [str(number) for number in range(20)]


async def test_a_transient_subscription_begins_anew(
    store: RemoteEventStore, stomp_proxy: Proxy
) -> None:
    await store.create("default", TYPE, changed(1))
    recorder = Recorder()
    recorder.consumer = await store.subscribe(
        "default", "view", SELECTION, recorder, durability=Durability.TRANSIENT
    )
    await recorder.until_events(1)
    stomp_proxy.cut()
    await recorder.until_events(2)
    assert recorder.data == ["1", "1"]


async def test_leaving_while_broken(store: RemoteEventStore, stomp_proxy: Proxy) -> None:
    recorder = await subscribe(store, Recorder())
    stomp_proxy.freeze()
    stomp_proxy.cut()
    await recorder.until(lambda: recorder.interruptions == 1)
    assert recorder.consumer is not None
    async with asyncio.timeout(PATIENCE):
        await recorder.consumer.close()
        await recorder.consumer.close()
    assert recorder.closed_because is None
    with pytest.raises(ServiceUnavailable, match="it was closed"):
        await recorder.consumer.caught_up()


async def test_a_deleted_subscription_is_over(server: Ports, direct: RemoteEventStore) -> None:
    recorder = await subscribe(direct, Recorder())
    path = "/v1/spaces/default/subscriptions/view"
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.http}", timeout=30
    ) as operator:
        assert (await operator.delete(path)).status_code == 200
        await recorder.until(lambda: recorder.closed_because is not None)
        assert recorder.closed_because == "subscription 'view' was deleted"
        assert (await operator.get(path)).status_code == 404, "it did not come back"
    assert recorder.interruptions == 0
    assert recorder.consumer is not None
    with pytest.raises(ServiceUnavailable, match="was deleted"):
        await recorder.consumer.caught_up()
    await recorder.consumer.flush()
    await recorder.consumer.close()


async def test_a_server_that_restarts_interrupts(command: Callable[..., ServerProcess]) -> None:
    server = command()
    url = Ports(server.http_port, server.stomp_port).url
    async with RemoteEventStore(url) as store:
        recorder = await subscribe(store, Recorder())
        await store.create("default", TYPE, changed(1))
        await recorder.until_events(1)
        assert recorder.consumer is not None
        for number in (2, 3):
            await recorder.consumer.caught_up()
            assert await asyncio.to_thread(server.terminate, signal.SIGTERM) == 0
            await recorder.until(lambda: recorder.interruptions == number - 1)  # noqa: B023
            creating = asyncio.ensure_future(store.create("default", TYPE, changed(number)))
            await asyncio.to_thread(server.start)
            await creating
            await recorder.until_events(number)
        assert recorder.data == ["1", "2", "3"]
        assert recorder.closed_because is None
    assert recorder.closed_because == "the event store is closing"


async def test_a_server_that_starts_later_is_waited_for(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path).start()
    server.kill()
    async with RemoteEventStore(Ports(server.http_port, server.stomp_port).url) as store:
        recorder = Recorder()
        creating = asyncio.ensure_future(store.create("default", TYPE, changed(1)))
        subscribing = asyncio.ensure_future(store.subscribe("default", "view", SELECTION, recorder))
        await asyncio.to_thread(server.start)
        await creating
        recorder.consumer = await subscribing
        await recorder.until_events(1)
        assert recorder.interruptions == 0
    server.close()


async def test_a_subscribe_gives_up_in_time(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path).start()
    server.kill()
    url = Ports(server.http_port, server.stomp_port).url
    async with RemoteEventStore(url, retry_for=0.3) as store:
        with pytest.raises(ServiceUnavailable, match=r"retry_for is 0\.3 seconds"):
            await store.subscribe("default", "view", SELECTION, Recorder())
    server.close()
