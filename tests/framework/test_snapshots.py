"""Snapshots shorten loading and change nothing; those of another shape are as good as none."""

import asyncio
import logging
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest

from eventuary import (
    Aggregate,
    Event,
    EventStore,
    EveryEvents,
    EverySize,
    Repository,
    ServiceUnavailable,
    SnapshotStrategy,
    apply,
    connect,
)
from eventuary.connecting import VanishingEventStore
from eventuary.events import NewSnapshot


class MeterEvent(Event, entity="Meter"): ...


class MeterRead(MeterEvent):
    value: Decimal
    note: str = ""


class Reading(msgspec.Struct, frozen=True):
    value: Decimal


class Meter(Aggregate):
    readings: list[Reading]
    by_note: dict[str, Decimal]
    total: Decimal = Decimal(0)
    last: Reading | None = None
    read_at: datetime | None = None

    def read(self, value: int, note: str = "") -> MeterRead:
        return MeterRead(Decimal(value), note)

    @apply
    def _read(self, event: MeterRead) -> None:
        self.last = Reading(event.value)
        self.readings = [*getattr(self, "readings", []), self.last]
        self.by_note = {**getattr(self, "by_note", {}), event.note: event.value}
        self.total += event.value


def state(meter: Meter) -> tuple[object, ...]:
    return meter.readings, meter.by_note, meter.total, meter.last, meter.read_at


async def stored_events(store: EventStore, meter_id: str) -> int | None:
    """How many events a load reads behind the snapshot; None: there is no snapshot."""
    entity = await store.load("default", "Meter", meter_id)
    return None if entity.snapshot is None else len(entity.events)


def loads(store: EventStore) -> int:
    assert isinstance(store, VanishingEventStore)
    return store.statistics.loads


async def read(meters: Repository[Meter], times: int, meter_id: str = "m", note: str = "") -> None:
    for value in range(times):
        if await meters.exists(meter_id):
            await meters.update(meter_id, Meter.read, value, note)
        else:
            await meters.save([MeterRead(Decimal(value), note)], entity_id=meter_id)
        await meters.settle()


async def test_one_every_so_many_events() -> None:
    async with connect("memory:") as store:
        meters = Repository(store, Meter, snapshots=EveryEvents(3))
        behind = []
        for _ in range(8):
            await read(meters, 1)
            behind.append(await stored_events(store, "m"))
        assert behind == [None, None, 0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("cache", [0, 10])
async def test_several_events_at_once_count_each(cache: int) -> None:
    async with connect("memory:") as store:
        meters = Repository(store, Meter, snapshots=EveryEvents(3), cache=cache)
        await meters.save([MeterRead(Decimal(1))] * 5, entity_id="m")
        await meters.settle()
        assert await stored_events(store, "m") == 0
        await meters.update("m", lambda _: [MeterRead(Decimal(1))] * 2)
        await meters.settle()
        assert await stored_events(store, "m") == 2
        another = Repository(store, Meter, snapshots=EveryEvents(3), cache=cache)
        await another.update("m", Meter.read, 1)  # it counts what it has read
        await another.settle()
        assert await stored_events(store, "m") == 0


async def test_one_every_so_many_characters() -> None:
    async with connect("memory:") as store:
        meters = Repository(store, Meter, snapshots=EverySize(1000))
        behind = []
        for _ in range(5):
            await read(meters, 1, note="x" * 380)  # 400 and some with the rest of the event
            behind.append(await stored_events(store, "m"))
        assert behind == [None, None, 0, 1, 2]


@pytest.mark.parametrize("cache", [0, 10])
async def test_a_state_from_a_snapshot_is_the_state_from_the_events(cache: int) -> None:
    async with connect("memory:") as store:
        meters = Repository(store, Meter, snapshots=EveryEvents(2), cache=cache)
        await read(meters, 5, note="ünïcødé")
        assert await stored_events(store, "m") == 1
        from_snapshot = await Repository(store, Meter, snapshots=EveryEvents(2)).load("m")
        from_events = await Repository(store, Meter).load("m")
        assert state(from_snapshot) == state(from_events) == state(await meters.load("m"))
        assert from_snapshot.version == from_events.version
        assert len(from_events.readings) == 5
        assert from_snapshot.read_at is None


async def test_looking_back_needs_no_snapshot() -> None:
    async with connect("memory:") as store:
        meters = Repository(store, Meter, snapshots=EveryEvents(2))
        await read(meters, 6)
        history = await meters.history("m")
        for number, recorded in enumerate(history, start=1):
            past = await meters.load("m", at=recorded.event_id)
            assert (len(past.readings), past.version) == (number, recorded.event_id)


def another_meter(**annotations: object) -> type[Aggregate]:
    """A class named Meter that has more state: what becomes of Meter in the next release."""

    def _read(self: Aggregate, event: MeterRead) -> None:
        vars(self)["total"] = getattr(self, "total", 0) + event.value

    _read.__annotations__ = {"event": MeterRead, "return": None}
    return type("Meter", (Aggregate,), {"_read": apply(_read), "__annotations__": {**annotations}})


async def test_a_snapshot_of_another_shape_or_version_is_ignored() -> None:
    async with connect("memory:") as store:
        meters = Repository(store, Meter, snapshots=EveryEvents(2))
        await read(meters, 4)
        assert await stored_events(store, "m") == 0
        changed = another_meter(total=Decimal, unit=str)
        assert vars(await Repository(store, changed, snapshots=EveryEvents(2)).load("m"))[
            "total"
        ] == Decimal(6)
        same, raised = EveryEvents(100), EveryEvents(2, version=2)
        before = loads(store)
        assert (await Repository(store, Meter, snapshots=same).load("m")).total == 6
        assert loads(store) - before == 1, "it is of use"
        again = Repository(store, Meter, snapshots=raised)
        assert (await again.load("m")).total == 6
        assert loads(store) - before == 3, "it is of no use: all events are read"
        await again.update("m", Meter.read, 1)
        await again.settle()
        entity = await store.load("default", "Meter", "m")
        assert entity.snapshot is not None
        assert entity.snapshot.snapshot_type.startswith("Meter/2/")
        assert (await Repository(store, Meter, snapshots=same).load("m")).total == 7


async def test_a_snapshot_of_another_client_is_ignored() -> None:
    async with connect("memory:") as store:
        meters = Repository(store, Meter)
        await read(meters, 3)
        version = (await meters.load("m")).version
        await store.store_snapshot("default", "Meter", "m", version, NewSnapshot("java", "{}"))
        for repository in (Repository(store, Meter, snapshots=EveryEvents(2)), meters):
            assert (await repository.load("m")).total == 3


class SlowSnapshots(VanishingEventStore):
    """Stores snapshots when it is let, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = asyncio.Event()
        self.failing = False

    async def store_snapshot(  # type: ignore[override]  # a coroutine is an awaitable too
        self, space: str, entity_type: str, entity_id: str, version: str, snapshot: NewSnapshot
    ) -> None:
        await self.allowed.wait()
        if self.failing:
            raise ServiceUnavailable("the disk is full")
        await super().store_snapshot(space, entity_type, entity_id, version, snapshot)


async def test_nobody_waits_for_a_snapshot() -> None:
    async with SlowSnapshots() as store:
        meters = Repository(store, Meter, snapshots=EveryEvents(1))
        await meters.save([MeterRead(Decimal(1))], entity_id="m")
        for _ in range(3):
            await meters.update("m", Meter.read, 1)
        assert await stored_events(store, "m") is None
        settling = asyncio.ensure_future(meters.settle())
        await asyncio.sleep(0)
        assert not settling.done()
        store.allowed.set()
        await settling
        assert await stored_events(store, "m") == 0


async def test_a_snapshot_that_can_t_be_stored_is_told_and_harms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with SlowSnapshots() as store:
        store.allowed.set()
        store.failing = True
        meters = Repository(store, Meter, snapshots=EveryEvents(1))
        with caplog.at_level(logging.WARNING, "eventuary.repository"):
            await read(meters, 2)
        assert [each.getMessage() for each in caplog.records] == [
            "no snapshot of Meter 'm': the disk is full"
        ] * 2
        assert (await meters.load("m")).total == 1


class Loose(Aggregate):
    """State that is not as its annotations say, and state that has none."""

    count: int = 0

    @apply
    def _read(self, event: MeterRead) -> None:
        if event.note == "unannotated":
            self.hidden = event.value
        self.count += event.value if event.note == "wrong" else 1  # type: ignore[assignment]  # the point


@pytest.mark.parametrize(
    ("note", "complaint"),
    [
        ("unannotated", "Loose.hidden is not annotated, so a snapshot would lose it: declare it"),
        ("wrong", "Loose's state is not what its annotations say: Expected `int`, got `str`"),
    ],
)
async def test_a_state_that_would_not_come_back_has_no_snapshot(
    note: str, complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect("memory:") as store:
        loose = Repository(store, Loose, snapshots=EveryEvents(1))
        with caplog.at_level(logging.WARNING, "eventuary.repository"):
            await loose.save([MeterRead(Decimal("1.5"), note)], entity_id="m")
            await loose.settle()
        [record] = caplog.records
        assert complaint in record.getMessage()
        assert await stored_events(store, "m") is None
        assert (await Repository(store, Loose, snapshots=EveryEvents(1)).load("m")).count >= 1


def test_state_without_a_json_form_is_refused_beforehand() -> None:
    class Opaque(Aggregate):
        lock: asyncio.Lock

        @apply
        def _read(self, event: MeterRead) -> None: ...

    with pytest.raises(TypeError, match=r"(?s)Opaque can't have snapshots: .*annotate its state"):
        Repository(connect("memory:"), Opaque, snapshots=EveryEvents(1))


def test_strategies_of_one_s_own() -> None:
    class Never:
        version = 1

        def due(self, events: int, characters: int) -> bool:
            return events < 0 and characters < 0

    strategies: list[SnapshotStrategy] = [Never(), EveryEvents(3), EverySize(100)]
    assert [each.due(3, 99) for each in strategies] == [False, True, False]
