"""How long an answer is waited for, and how many are asked: by one who answers as the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from eventuary.engines.jetstream.address import read_address
from eventuary.engines.jetstream.wire import Lost, Wire


@pytest.fixture
async def wire(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    # A node that is slow to answer pings would be left in the middle of a test.
    monkeypatch.setattr("eventuary.engines.jetstream.wire._PING_EVERY", 60)
    wire = Wire(read_address(nats_url))
    await wire.open()
    yield wire
    await wire.close()


@pytest.fixture
async def replica(wire: Wire) -> AsyncIterator[Client]:
    client = await nats.connect(f"nats://{wire.node}")
    yield client
    await client.close()


async def answers(
    replica: Client, wire: Wire, subject: str, answer: Callable[[Msg], Awaitable[None]]
) -> None:
    """Let it answer on a subject, and return when the node that is asked knows of it.

    That may be another node than the replica's by now, if the machine stood still: it learns a
    moment later that somebody listens, and says until then that nobody does.
    """

    async def hear(message: Msg) -> None:
        if message.data == b"are you there?":
            await replica.publish(message.reply, b"yes")
        else:
            await answer(message)

    await replica.subscribe(subject, cb=hear)
    await replica.flush()
    async with asyncio.timeout(30):
        while True:
            with suppress(Lost):
                if (await wire.ask(subject, b"are you there?")).data == b"yes":
                    return
            await asyncio.sleep(0.01)


async def test_an_answer_that_goes_on_coming_is_waited_for(
    wire: Wire, replica: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entity's events may lie far apart: whoever reads a large log for them takes its time."""
    monkeypatch.setattr("eventuary.engines.jetstream.wire._TIMEOUT", 2.0)

    async def answer(message: Msg) -> None:
        for number in range(5):
            await asyncio.sleep(0.6)
            await replica.publish(message.reply, str(number).encode())
        await replica.publish(message.reply, b"", headers={"Status": "204"})

    await answers(replica, wire, "slow", answer)
    *events, _ = await (await wire.begin_many("slow", b""))
    assert [each.data for each in events] == [b"0", b"1", b"2", b"3", b"4"]


async def test_one_that_stops_halfway_is_given_up(
    wire: Wire, replica: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventuary.engines.jetstream.wire._TIMEOUT", 0.5)

    async def answer(message: Msg) -> None:
        await replica.publish(message.reply, b"the only one")

    await answers(replica, wire, "half", answer)
    with pytest.raises(Lost):
        await (await wire.begin_many("half", b""))


async def test_few_are_asked_who_all_are_slow(wire: Wire, replica: Client) -> None:
    """Each reads as much as the others: asking all the time would make them slower still."""
    asked = 0

    async def count(_: Msg) -> None:
        nonlocal asked
        asked += 1

    await answers(replica, wire, "busy", count)
    with pytest.raises(Lost):
        await (await wire.begin_many("busy", b""))
    assert 2 <= asked <= 4  # after 0, 1/4, 3/4 and 7/4 seconds of 3, when the machine is not busy
