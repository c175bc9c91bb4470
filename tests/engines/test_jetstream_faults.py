"""Nodes are killed and stopped under load: nothing acknowledged is lost, and nothing is twice.

JetStream elects a new leader of a stream between 4 and 9 seconds after it has last heard of the old
one, which no setting changes: so long appends wait, and then they go on.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from eventuary.engines.engine import Committed, Engine, LogQuery
from eventuary.errors import ServiceUnavailable
from eventuary.events import LogEvent, NewEvent
from tests.engines.contract import CREATED, ORDER, creation, update
from tests.engines.waiting import until
from tests.nats.cluster import NatsCluster
from tests.nats.engines import started
from tests.nats.node import Node

pytestmark = pytest.mark.torture

#: Entities that are appended to at the same time, each by one writer.
_WRITERS = 12

#: Seconds for which an append is tried, of the engine; and so many that none is given up while a
#: leader is elected, also on a machine that stands still meanwhile.
_TRIED_FOR = "eventuary.engines.jetstream.writer._PATIENCE"
_LONG = 60.0

#: Seconds within which appends go on, however slow the machine is.
_PATIENCE = 120.0


@pytest.fixture(autouse=True)
def _appends_are_tried_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is refused after a time does not know what is stored, and could not be judged."""
    monkeypatch.setattr(_TRIED_FOR, _LONG)


class Load:
    """Writers who append without end; what was acknowledged to each, and how long it took."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        #: By entity id: the event ids that were acknowledged, in order.
        self.acknowledged: dict[str, list[str]] = {}
        self.refused: list[ServiceUnavailable] = []
        self.last_at = 0.0

    @property
    def total(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Append meanwhile; ends when all that is under way is answered."""
        self._tasks = [asyncio.create_task(self._write(n)) for n in range(_WRITERS)]
        try:
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*self._tasks)

    async def goes_on(self, number: int = 300) -> None:
        """Return when so many more events are acknowledged."""
        enough = self.total + number
        await until(
            lambda: self.total >= enough, f"{number} more are acknowledged", patience=_PATIENCE
        )

    async def _write(self, number: int) -> None:
        """One event at a time, or three in a batch, by the writer's number."""
        events = [NewEvent("E", "x" * 200)] * (3 if number % 4 == 0 else 1)
        made = await self._engine.append(creation(*events))
        mine = self.acknowledged[made.entity_id] = list(made.event_ids)
        while not self._stopping:
            try:
                made = await self._engine.append(update(made, *events))
            except ServiceUnavailable as error:
                self.refused.append(error)
                return  # it may have been written: this writer knows nothing any more
            mine += made.event_ids
            self.last_at = time.monotonic()

    async def judge(self, engine: Engine) -> list[LogEvent]:
        """What was acknowledged is stored, in order, and nothing besides it; returns the log."""
        log: list[LogEvent] = []
        head = (await engine.newest_heads())[0]
        while len(log) < head:
            query = LogQuery("default", log[-1].position if log else 0)
            log += (await engine.read_log(query)).events
        assert [event.position for event in log] == list(range(1, head + 1))
        stored: dict[str, list[str]] = {}
        for event in log:
            stored.setdefault(event.entity_id, []).append(event.event_id)
        assert stored == self.acknowledged
        for entity_id, event_ids in self.acknowledged.items():
            entity = await engine.load("default", ORDER, entity_id, None)
            assert [event.id for event in entity.events] == event_ids
        return log


def _connected_to(engine: Engine, cluster: NatsCluster) -> Node:
    port = engine._wire._client.connected_url.port  # type: ignore[attr-defined]  # JetStream's own
    return next(node for node in cluster.nodes if node.client_port == port)


@pytest.mark.parametrize("victim", ["leader", "connected"])
async def test_a_node_that_is_killed_loses_nothing(
    own_nats_cluster: NatsCluster, victim: str
) -> None:
    cluster = own_nats_cluster
    committed: list[Committed] = []
    async with started(cluster.url, committed) as engine, started(cluster.url) as other:
        load = Load(engine)
        async with load.running():
            await load.goes_on()
            if victim == "leader":
                node = await asyncio.to_thread(cluster.leader_of, "eventuary-log")
            else:
                node = _connected_to(engine, cluster)
            node.kill()
            killed_at = time.monotonic()
            await until(
                lambda: load.last_at > killed_at + 0.5,
                "appends go on without it",
                patience=_PATIENCE,
            )
            await load.goes_on()
            node.start()
            await load.goes_on()
        assert load.refused == []
        log = await load.judge(other)
        told = [event for each in committed for event in each.events or ()]
        assert told == log


async def test_a_leader_that_stands_still_is_replaced(own_nats_cluster: NatsCluster) -> None:
    """Its connections stay, and it does not know, when it goes on, that it leads no more."""
    cluster = own_nats_cluster
    async with started(cluster.url) as engine:
        load = Load(engine)
        async with load.running():
            await load.goes_on()
            node = await asyncio.to_thread(cluster.leader_of, "eventuary-log")
            node.pause()
            try:
                stood_at = time.monotonic()
                await until(
                    lambda: load.last_at > stood_at + 3.0, "another leads", patience=_PATIENCE
                )
                await load.goes_on()
            finally:
                node.resume()
            await load.goes_on()
        assert load.refused == []
        await load.judge(engine)


async def test_a_minority_accepts_nothing(own_nats_cluster: NatsCluster) -> None:
    cluster = own_nats_cluster
    async with started(cluster.url) as engine:
        made = await engine.append(creation())
        majority = [node for node in cluster.nodes if node is not _connected_to(engine, cluster)]
        for node in majority:
            node.pause()
        try:
            appends = [engine.append(update(made)), engine.append(creation(entity_id="other"))]
            done, _ = await asyncio.wait(appends, timeout=3.0)
            assert not done
        finally:
            for node in majority:
                node.resume()
        updated, other = await asyncio.gather(*appends)
        entity = await engine.load("default", ORDER, made.entity_id, None)
        assert [event.id for event in entity.events] == [*made.event_ids, *updated.event_ids]
        entity = await engine.load("default", ORDER, "other", None)
        assert [event.id for event in entity.events] == other.event_ids
        assert (await engine.newest_heads())[0] == 3


async def test_without_a_cluster_appends_are_refused_and_then_taken_again(
    own_nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = own_nats_cluster
    async with started(cluster.url) as engine:
        made = await engine.append(creation())
        monkeypatch.setattr(_TRIED_FOR, 1.0)
        for node in cluster.nodes:
            node.kill()
        await until(lambda: not engine._wire._client.is_connected, "it notices")  # type: ignore[attr-defined]
        with pytest.raises(ServiceUnavailable, match="nothing was written"):
            await engine.append(update(made, CREATED))
        monkeypatch.setattr(_TRIED_FOR, _LONG)
        for node in cluster.nodes:
            node.start()
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                updated = await engine.append(update(made, CREATED))
                break
            except ServiceUnavailable as error:
                # What may have been stored can't be tried again as it was.
                if "nothing was written" not in str(error) or time.monotonic() > deadline:
                    raise
        entity = await engine.load("default", ORDER, made.entity_id, None)
        assert [event.id for event in entity.events] == [*made.event_ids, *updated.event_ids]
