"""How long an answer is waited for, and how many are asked: by one who answers as the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from eventuary.engines.jetstream.address import read_address
from eventuary.engines.jetstream.api import NO_PEERS, ApiError, Refused, call
from eventuary.engines.jetstream.safety import dangers
from eventuary.engines.jetstream.wire import Lost, Wire
from eventuary.engines.opening import open_engine
from eventuary.errors import ConfigurationError
from tests.nats.cluster import NatsCluster
from tests.nats.engines import started


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


class Clock:
    """The loop of a wire, whose time stands still but for what the test puts it forward.

    However slow the machine is, nothing grows old by it.
    """

    def __init__(self, wire: Wire) -> None:
        self._loop = asyncio.get_running_loop()
        self._now = 0.0
        self._sweep: Callable[[], None] = wire._sweep
        assert wire._sweeping is not None
        wire._sweeping.cancel()
        wire._loop = cast("asyncio.AbstractEventLoop", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def time(self) -> float:
        return self._now

    def call_later(self, _delay: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        self._sweep = call
        return self._loop.call_later(3600, call)

    def put_forward(self, seconds: float) -> None:
        """As many looks for questions that have grown old as there are in so long a time."""
        for _ in range(round(10 * seconds)):
            self._now += 0.1
            self._sweep()


async def several(wire: Wire, number: int) -> None:
    """Return when so many answers to its one question are here."""
    async with asyncio.timeout(30):
        while sum(len(each.answers or ()) for each in wire._questions.values()) < number:
            await asyncio.sleep(0.001)


async def test_an_answer_that_goes_on_coming_is_waited_for(wire: Wire, replica: Client) -> None:
    """An entity's events may lie far apart: whoever reads a large log for them takes its time."""
    questions: asyncio.Queue[str] = asyncio.Queue()

    async def note(message: Msg) -> None:
        questions.put_nowait(message.reply)

    await answers(replica, wire, "slow", note)
    clock = Clock(wire)
    asked = await wire.begin_many("slow", b"")
    reply = await questions.get()
    for number in range(5):
        await replica.publish(reply, str(number).encode())
        await several(wire, number + 1)
        clock.put_forward(2.8)  # of 3
    await replica.publish(reply, b"", headers={"Status": "204"})
    *events, _ = await asked
    assert [each.data for each in events] == [b"0", b"1", b"2", b"3", b"4"]


async def test_one_that_stops_halfway_is_given_up(wire: Wire, replica: Client) -> None:
    async def answer(message: Msg) -> None:
        await replica.publish(message.reply, b"the only one")

    await answers(replica, wire, "half", answer)
    clock = Clock(wire)
    asked = await wire.begin_many("half", b"")
    await several(wire, 1)
    clock.put_forward(2.8)
    assert not asked.done()
    clock.put_forward(0.4)
    with pytest.raises(Lost):
        await asked


async def test_few_are_asked_who_all_are_slow(
    wire: Wire, replica: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reads as much as the others: asking all the time would make them slower still."""

    async def say_nothing(_: Msg) -> None:
        return

    await answers(replica, wire, "busy", say_nothing)
    clock, send, asked = Clock(wire), wire.send, []

    async def note(subject: str, *arguments: Any) -> None:
        asked.append(round(clock.time(), 1))
        await send(subject, *arguments)

    monkeypatch.setattr(wire, "send", note)
    waiting = await wire.begin_many("busy", b"")
    for _ in range(32):
        clock.put_forward(0.1)
        await asyncio.sleep(0)  # what is asked again is sent in a task
    with pytest.raises(Lost):
        await waiting
    assert asked == [0.0, 0.3, 0.8, 1.8]


async def test_nodes_that_have_not_heard_a_question_are_asked_again(
    nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that starts is not refused because nobody has said that each write is synced."""
    asked = 0
    not_connected: list[float] = []
    ask_all = Wire.ask_all

    async def lose_the_first(wire: Wire, subject: str, heard: Callable[[bytes], None]) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            return
        if asked == 2:
            begun = asyncio.get_running_loop().time()
            not_connected.append(begun + 0.2)
        if asyncio.get_running_loop().time() < not_connected[0]:
            raise Lost("not connected")
        await ask_all(wire, subject, heard)

    monkeypatch.setattr(Wire, "ask_all", lose_the_first)
    assert await dangers(read_address(nats_cluster.url), []) == []
    assert 3 <= asked < 20, "it waits until there is a connection again"


@pytest.mark.parametrize(
    ("why", "is_waited_for"),
    [
        ("no suitable peers for placement, peer offline", True),
        ("no suitable peers for placement, insufficient storage available", False),
    ],
)
async def test_a_node_that_is_away_is_waited_for_where_streams_are_made(
    nats_url: str, monkeypatch: pytest.MonkeyPatch, why: str, is_waited_for: bool
) -> None:
    """It may stand still for a moment, or the cluster have just been started."""
    refusals = [Refused(ApiError(400, NO_PEERS, why))] * 3

    async def call_when_all_are_there(wire: Wire, name: str, body: object = None) -> bytes:
        if name.startswith("STREAM.CREATE.") and refusals:
            raise refusals.pop()
        return await call(wire, name, body)

    monkeypatch.setattr("eventuary.engines.jetstream.streams.call", call_when_all_are_there)
    if is_waited_for:
        async with started(nats_url) as engine:
            assert engine.head == 0
        assert not refusals
    else:
        with pytest.raises(ConfigurationError, match=f"can't be made: JetStream: {why}"):
            await open_engine(nats_url).start(lambda _: None)
        assert len(refusals) == 2
