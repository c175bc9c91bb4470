"""How subscribers end: by themselves, with their application, or by the store."""

import asyncio

import pytest

from eventuary import BadRequest, DeliveryPolicy, EventStore, ServiceUnavailable, connect, running
from eventuary.framework.handling import RunningSubscriber
from eventuary.testing import eventually, memory_store
from tests.framework.listener import Listener, tick


async def test_stopping_lets_handlers_finish_and_begins_nothing_new() -> None:
    listener = Listener()
    listener.open.clear()
    async with connect("memory:") as store:
        async with running(store, listener.subscriber):
            await tick(store, 1, 2, 3)
            await eventually(lambda: listener.begun == [1])
            asyncio.get_running_loop().call_later(0.02, listener.open.set)
        assert (listener.begun, listener.heard) == ([1], [1])
        async with running(store, listener.subscriber) as run:
            await run.caught_up()
        assert listener.heard == [1, 2, 3], "the first is acknowledged, the others come again"


async def test_a_handler_that_does_not_finish_is_cancelled_and_its_event_comes_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = Listener()
    listener.open.clear()
    async with connect("memory:") as store:
        async with running(store, listener.subscriber, grace=0.01):
            await tick(store, 1, 2)
            await eventually(lambda: listener.begun == [1])
        assert "1 handlers did not finish within 0.01 s and were cancelled" in caplog.text
        assert listener.heard == []
        listener.open.set()
        async with running(store, listener.subscriber) as run:
            await run.caught_up()
    assert (listener.begun, listener.heard) == ([1, 1, 2], [1, 2])


async def test_an_error_in_the_block_stops_them_too() -> None:
    listener = Listener()

    async def block(store: EventStore) -> None:
        async with running(store, listener.subscriber) as run:
            await tick(store, 1)
            await run.caught_up()
            raise ValueError("the application's")

    async with memory_store() as store:
        with pytest.raises(ValueError, match="the application's"):
            await block(store)
        assert store.consumers == 0
        await tick(store, 2)
        assert listener.heard == [1]


async def test_one_that_can_t_start_stops_those_before_it() -> None:
    good, bad = Listener(), Listener()
    bad.subscriber.policy = DeliveryPolicy(window=0)
    async with memory_store() as store:
        with pytest.raises(BadRequest, match="window: 0 is outside 1"):
            async with running(store, good.subscriber, bad.subscriber):
                pass
        assert store.consumers == 0


async def test_it_is_told_when_the_store_ends_it() -> None:
    listener = Listener()
    async with memory_store() as store, running(store, listener.subscriber) as run:
        running_one = run[listener.subscriber]
        assert running_one.subscriber_id == "listener"
        assert run.troubles() == {}
        ended = asyncio.ensure_future(running_one.ended())
        await store.subscriptions.delete("default", "listener")
        assert await ended == "subscription 'listener' was deleted"
        assert run.troubles() == {"listener": "subscription 'listener' was deleted"}
        with pytest.raises(ServiceUnavailable, match="'listener' has ended"):
            await run.caught_up()


async def test_caught_up_waits_for_what_is_there_when_it_is_asked() -> None:
    listener = Listener()
    async with connect("memory:") as store, running(store, listener.subscriber) as run:
        await run.caught_up()
        listener.open.clear()
        await tick(store, 1)
        waiting = asyncio.ensure_future(run.caught_up())
        await eventually(lambda: listener.begun == [1])
        assert not waiting.done()
        listener.open.set()
        await waiting
        assert listener.heard == [1]
        with pytest.raises(ServiceUnavailable, match="has not been started"):
            await RunningSubscriber(listener.subscriber, store).caught_up()
