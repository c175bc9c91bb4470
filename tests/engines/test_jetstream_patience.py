"""How long an answer is waited for, and how many are asked: by one who answers as the test says."""

import asyncio
from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from eventuary.engines.jetstream.address import read_address
from eventuary.engines.jetstream.wire import Lost, Wire


@pytest.fixture
async def wire(nats_url: str) -> AsyncIterator[Wire]:
    wire = Wire(read_address(nats_url))
    await wire.open()
    yield wire
    await wire.close()


@pytest.fixture
async def replica(wire: Wire) -> AsyncIterator[Client]:
    # At the same node: another one learns a moment later that somebody listens here.
    client = await nats.connect(f"nats://{wire.node}")
    yield client
    await client.close()


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

    await replica.subscribe("slow", cb=answer)
    await replica.flush()
    *events, _ = await (await wire.begin_many("slow", b""))
    assert [each.data for each in events] == [b"0", b"1", b"2", b"3", b"4"]


async def test_one_that_stops_halfway_is_given_up(
    wire: Wire, replica: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventuary.engines.jetstream.wire._TIMEOUT", 0.5)

    async def answer(message: Msg) -> None:
        await replica.publish(message.reply, b"the only one")

    await replica.subscribe("half", cb=answer)
    await replica.flush()
    with pytest.raises(Lost):
        await (await wire.begin_many("half", b""))


async def test_few_are_asked_who_all_are_slow(wire: Wire, replica: Client) -> None:
    """Each reads as much as the others: asking all the time would make them slower still."""
    asked = 0

    async def count(_: Msg) -> None:
        nonlocal asked
        asked += 1

    await replica.subscribe("busy", cb=count)
    await replica.flush()
    with pytest.raises(Lost):
        await (await wire.begin_many("busy", b""))
    assert 2 <= asked <= 4  # after 0, 1/4, 3/4 and 7/4 seconds of 3, when the machine is not busy
