"""Positions on their way to storage: one time after the other, however long each takes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import Engine, SwimlanePosition
from eventuary.engines.opening import open_engine
from eventuary.errors import ServiceUnavailable
from eventuary.events import NewEvent
from tests.engines.waiting import until
from tests.event_store.recorder import Recorder


class Slow:
    """An engine's ``store_positions`` that begins when it is told to."""

    def __init__(self, engine: Engine) -> None:
        self.asked: list[list[int]] = []
        self.may_begin = asyncio.Event()
        self.fails = 0
        self._store = engine.store_positions

    def store_positions(self, positions: Sequence[SwimlanePosition]) -> asyncio.Future[None]:
        self.asked.append([each.position for each in positions])

        async def run() -> None:
            await self.may_begin.wait()
            if self.fails:
                self.fails -= 1
                raise ServiceUnavailable("storage: a test says so")
            await self._store(positions)

        return asyncio.ensure_future(run())


@pytest.mark.parametrize("fails", [0, 1])
async def test_a_receipt_waits_for_what_is_under_way_and_then_for_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    engine = open_engine(f"sqlite:{tmp_path / 'e.db'}")
    slow = Slow(engine)
    slow.fails = fails
    monkeypatch.setattr(engine, "store_positions", slow.store_positions)
    async with EmbeddedEventStore(engine) as store:
        try:
            recorder = Recorder(acknowledging=False)
            consumer = recorder.consumer = await store.subscribe(
                "s", "view", {"T": ["E"]}, recorder
            )
            await store.create("s", "T", [NewEvent("E", "1"), NewEvent("E", "2")])
            await recorder.until(lambda: len(recorder.events) == 2)
            first, second = recorder.events
            recorder.acknowledge([first])
            await until(lambda: slow.asked == [[1]], "the first position is to be stored")
            recorder.acknowledge([second])
            flushed = asyncio.ensure_future(consumer.flush())
            # Three times as long as acknowledgements are gathered.
            done, _ = await asyncio.wait([flushed], timeout=0.3)
            assert not done
            assert slow.asked == [[1]]
        finally:
            slow.may_begin.set()
        await flushed
        assert slow.asked == [[1], [2]]
        [record] = await engine.load_subscriptions("s", "view")
        assert record.positions[first.swimlane] == 2
