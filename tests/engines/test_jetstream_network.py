"""The network between a server and its node, or between that and the other nodes, fails.

Nobody is told: connections stay, and carry nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from eventuary.engines.engine import Engine
from eventuary.engines.jetstream.engine import JetStreamEngine
from eventuary.engines.jetstream.wire import Wire
from eventuary.engines.opening import open_engine
from eventuary.errors import ServiceUnavailable
from eventuary.events import NewEvent
from tests.engines.contract import CREATED, ORDER, creation, update
from tests.engines.waiting import until
from tests.nats.divided import DividedCluster
from tests.nats.engines import started

pytestmark = pytest.mark.torture

#: More than any socket's buffers take: 25 events of 900 kB.
_LARGE = NewEvent("E", "x" * 900_000)
_MANY = 25

#: Seconds within which it goes on: a stalled connection is noticed after 3, and a node that is cut
#: off after 10; the machine is busy.
_PATIENCE = 60.0

#: Seconds for which an append is tried, of the engine: by default those that a new leader needs on
#: a machine that does not stand still.
_TRIED_FOR = "eventuary.engines.jetstream.writer._PATIENCE"

_Result = TypeVar("_Result")


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[DividedCluster]:
    with DividedCluster(1, request.node.name) as cluster:
        yield cluster


def _wire(engine: Engine, which: str = "its own") -> Wire:
    assert isinstance(engine, JetStreamEngine)
    if which == "its own":
        return engine._wire
    system = engine._leaders._system
    assert system is not None
    return system


def _port(wire: Wire) -> int:
    port = wire.node.rpartition(":")[2]
    return int(port) if port.isdecimal() else 0  # to none at this moment


async def test_a_node_that_takes_nothing_any_more_is_not_waited_for(
    cluster: DividedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was to be sent to it would wait until TCP gives up."""
    monkeypatch.setattr(_TRIED_FOR, _PATIENCE)
    async with started(cluster.url_for(0)) as engine:
        await engine.append(creation(NewEvent("E", "small")))
        first = _port(_wire(engine))
        door = next(door for door in cluster.doors if door.port == first)
        door.stall()
        try:
            appends = [engine.append(creation(_LARGE)) for _ in range(_MANY)]
            done, waiting = await asyncio.wait(appends, timeout=_PATIENCE + 30)
            assert not waiting
            assert [each.exception() for each in done] == [None] * _MANY
            assert _port(_wire(engine)) != first
            assert await engine.newest_heads() == (1 + _MANY,)
        finally:
            door.flow()  # an engine that does wait for it would not end either


async def test_nor_is_it_at_the_end(
    cluster: DividedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(cluster.url_for(0))
    await engine.start(lambda _: None)
    await engine.append(creation(NewEvent("E", "small")))
    monkeypatch.setattr(_TRIED_FOR, 1.0)
    for door in cluster.doors:
        door.stall()
    appends = [engine.append(creation(_LARGE)) for _ in range(_MANY)]
    async with asyncio.timeout(_PATIENCE):
        await engine.stop()
    assert {type(each.exception()) for each in appends} == {ServiceUnavailable}


@pytest.mark.parametrize("which", ["its own", "the system user's"])
async def test_a_node_that_is_cut_off_is_left(
    cluster: DividedCluster, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By way of the system user's connection nodes are asked whether a leader still leads."""
    # What was refused and may have been stored can't be tried again as it was.
    monkeypatch.setattr(_TRIED_FOR, _PATIENCE)
    async with started(cluster.url_for(0)) as engine:
        made = await engine.append(creation())
        first = _port(_wire(engine, which))
        cluster.cut_off(cluster.node_behind(first))
        cut = time.monotonic()
        updated = await _at_last(lambda: engine.append(update(made, CREATED)), cut)
        entity = await _at_last(lambda: engine.load("default", ORDER, made.entity_id, None), cut)
        assert [event.id for event in entity.events] == [*made.event_ids, *updated.event_ids]
        await until(lambda: _port(_wire(engine, which)) not in (0, first), "it has left")
        cluster.mend()
        again = await _at_last(lambda: engine.append(update(updated, CREATED)), time.monotonic())
        entity = await engine.load("default", ORDER, made.entity_id, None)
        assert entity.events[-1].id == again.entity_version


async def test_nodes_are_not_left_while_most_of_them_are_heard(
    cluster: DividedCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when one is cut off to which nobody is connected, and while nothing happens."""
    async with started(cluster.url_for(0)) as engine:
        wires = [_wire(engine), _wire(engine, "the system user's")]
        nodes = [cluster.node_behind(_port(wire)) for wire in wires]
        cluster.cut_off(next(node for node in cluster.nodes if node not in nodes))
        await asyncio.sleep(15)  # nothing is to happen, for longer than one that is left needs
        await engine.append(creation())
    # A machine that stands still may make connections anew, which is something else.
    assert "most nodes were not heard" not in caplog.text


async def _at_last(call: Callable[[], Awaitable[_Result]], begun: float) -> _Result:
    """Return what a call returns that is not refused any more."""
    while True:
        try:
            return await call()
        except ServiceUnavailable:
            assert time.monotonic() < begun + _PATIENCE
