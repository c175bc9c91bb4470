"""Appends and reads of a few entities by clients of three servers, while a cluster's nodes fail.

Nodes are killed, stand still, and are cut off, alone or together with a server. Whatever is
answered: what was acknowledged is there, once, and each entity's history is linearizable. A
minority acknowledges nothing, and soon reads nothing.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from eventuary.engines.engine import Committed, Engine
from eventuary.engines.jetstream.leadership import ELECTION_TIMEOUT
from tests.engines.waiting import until
from tests.nats.divided import DividedCluster
from tests.nats.engines import started
from tests.nats.node import Node
from tests.torture.conftest import Begin
from tests.torture.observations import Observations
from tests.torture.observer import Observer
from tests.torture.run import Run

pytestmark = pytest.mark.torture

_SERVERS = 3

#: Clients of a server, besides one that only reads.
_CLIENTS_OF_A_SERVER = 2

#: Appends that each server acknowledges before a fault and after it; and while it lasts, when all
#: is slower.
_ENOUGH = 30
_ENOUGH_MEANWHILE = 10

#: Seconds within which so many are, however slow the machine is.
_PATIENCE = 120.0

#: Seconds that a run takes, about: it ends when enough was seen.
_USUAL_TIME = 30


class World:
    """A cluster, three servers, their clients, and what those saw."""

    def __init__(self, run: Run, cluster: DividedCluster) -> None:
        self.run = run
        self.cluster = cluster
        self.observations = Observations(run.chance)
        self._engines: list[Engine] = []
        self._told: list[list[Committed]] = [[] for _ in range(_SERVERS)]

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Let all clients work meanwhile; then judge what they saw."""
        async with contextlib.AsyncExitStack() as stack:
            for server, told in enumerate(self._told):
                url = self.cluster.url_for(server)
                self._engines.append(await stack.enter_async_context(started(url, told)))
            observers = [
                Observer(f"{server}{n}", server, engine, self.observations, self.run.hint)
                for n in range(_CLIENTS_OF_A_SERVER + 1)
                for server, engine in enumerate(self._engines)
            ]
            working = [
                *(asyncio.create_task(each.read()) for each in observers[:_SERVERS]),
                *(asyncio.create_task(each.work()) for each in observers[_SERVERS:]),
            ]
            try:
                await self.goes_on(time.monotonic(), 0, 1, 2)
                yield
            finally:
                for each in observers:
                    each.stopping = True
                await asyncio.gather(*working)
            self.run.say(self.observations.score)
            await self.observations.judge(self._engines, self._told)
            self.run.say("judged")

    async def goes_on(self, since: float, *servers: int, enough: int = _ENOUGH) -> None:
        """Return when each server has acknowledged enough of what it was asked since a time."""
        for server in servers:
            await until(
                lambda server=server: (  # type: ignore[misc]
                    len(self.observations.acknowledged(since, [server])) >= enough
                ),
                f"the server {server} goes on",
                patience=_PATIENCE,
            )

    async def find_leader(self) -> Node:
        """Return the node that leads the log's stream."""
        return await asyncio.to_thread(self.cluster.leader_of, "eventuary-log")

    def say_gap(self, since: float) -> None:
        """Tell for how long nothing was acknowledged, at most."""
        times = [since, *sorted(each.returned for each in self.observations.acknowledged(since))]
        gap = max(after - before for before, after in itertools.pairwise(times))
        self.run.say(f"appends have waited for {gap:.1f} s; {self.observations.score}")


@pytest.fixture
def world(begin: Begin) -> Iterator[World]:
    run = begin(_USUAL_TIME)
    with DividedCluster(_SERVERS, run.hint) as cluster:
        yield World(run, cluster)


@pytest.mark.parametrize("victim", ["follower", "leader"])
async def test_a_node_is_killed(world: World, victim: str) -> None:
    async with world.working():
        node = await world.find_leader()
        if victim == "follower":
            node = next(each for each in world.cluster.nodes if each is not node)
        node.kill()
        killed = time.monotonic()
        await world.goes_on(killed, 0, 1, 2, enough=_ENOUGH_MEANWHILE)
        world.say_gap(killed)
        node.start()
        await world.goes_on(time.monotonic(), 0, 1, 2)


async def test_a_leader_stands_still_until_another_leads(world: World) -> None:
    """When it goes on it has answers of the others in its buffers, and takes them for new."""
    async with world.working():
        node = await world.find_leader()
        node.pause()
        paused = time.monotonic()
        try:
            await world.goes_on(paused, 0, 1, 2, enough=_ENOUGH_MEANWHILE)
        finally:
            node.resume()
        world.say_gap(paused)
        await world.goes_on(time.monotonic(), 0, 1, 2)


async def test_a_leader_is_cut_off_with_a_server(world: World) -> None:
    async with world.working():
        node = await world.find_leader()
        # A node that knows of no leader of them all refuses to read: this one takes itself for it.
        await asyncio.to_thread(world.cluster.let_lead_all, node)
        world.cluster.divide(node, 0)
        cut = time.monotonic()
        await world.goes_on(cut, 1, 2, enough=_ENOUGH_MEANWHILE)
        world.say_gap(cut)
        await until(lambda: time.monotonic() > cut + 2 * ELECTION_TIMEOUT, "time passes")
        mended = time.monotonic()
        world.cluster.mend()
        await world.goes_on(mended, 0, 1, 2)
    seen = world.observations
    assert not [each for each in seen.acknowledged(cut, [0]) if each.returned < mended]
    assert not seen.answered(0, cut + ELECTION_TIMEOUT, mended)


async def test_a_leader_is_cut_off_from_the_other_nodes(world: World) -> None:
    """Servers stay connected to it at first, and it takes itself for the leader when it is back.

    So two nodes answer what is published then: one of them does not store it, and says so first.
    """
    async with world.working():
        for _ in range(3):
            node = await world.find_leader()
            world.cluster.cut_off(node)
            cut = time.monotonic()
            await until(
                lambda: len(world.observations.acknowledged(cut)) >= _ENOUGH_MEANWHILE,  # noqa: B023
                "another leads",
                patience=_PATIENCE,
            )
            world.say_gap(cut)
            world.cluster.mend()
            await world.goes_on(time.monotonic(), 0, 1, 2)


async def test_a_node_is_cut_off_from_the_others_for_long(world: World) -> None:
    """No server stays with it."""
    async with world.working():
        world.cluster.cut_off(world.cluster.nodes[0])
        cut = time.monotonic()
        await world.goes_on(cut, 0, 1, 2, enough=_ENOUGH_MEANWHILE)
        world.say_gap(cut)
        await until(lambda: time.monotonic() > cut + 4 * ELECTION_TIMEOUT, "time passes")
        await world.goes_on(time.monotonic(), 0, 1, 2)
        world.cluster.mend()
        await world.goes_on(time.monotonic(), 0, 1, 2)
