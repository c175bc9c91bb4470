"""An aggregate class says when snapshots are taken; so they are where only handlers update it."""

from eventuary import (
    Aggregate,
    Context,
    Event,
    EventStore,
    EveryEvents,
    Repository,
    Subscriber,
    apply,
    connect,
    running,
)


class TallyEvent(Event, entity="Tally"): ...


class Counted(TallyEvent):
    by: int


class BellEvent(Event, entity="Bell"): ...


class BellRang(BellEvent): ...


class Tally(Aggregate, snapshots=EveryEvents(3)):
    sum: int = 0

    def count(self, by: int) -> Counted:
        return Counted(by)

    @classmethod
    def begin(cls) -> Counted:
        return Counted(0)

    @apply
    def _counted(self, event: Counted) -> None:
        self.sum += event.by


class SlowTally(Tally):
    """Inherits what it is not told."""


class Bell(Aggregate):
    @classmethod
    def ring(cls) -> BellRang:
        return BellRang()

    @apply
    def _rang(self, _: BellRang) -> None: ...


counting = Subscriber("counting")


@counting.on(BellRang)
async def count(_: BellRang, context: Context) -> None:
    await context.update(Tally, "tally", Tally.count, 1)


async def _events_after_the_snapshot(store: EventStore) -> int | None:
    found = await store.load("default", "Tally", "tally")
    return None if found.snapshot is None else len(found.events)


async def test_handlers_take_the_snapshots_that_the_class_asks_for() -> None:
    async with connect("memory:") as store:
        tallies, bells = Repository(store, Tally), Repository(store, Bell)
        await tallies.save(Tally.begin(), entity_id="tally")
        async with running(store, counting) as run:
            for _ in range(2):
                await bells.save(Bell.ring())
            await run.caught_up()
        assert (await tallies.load("tally")).sum == 2
        assert await _events_after_the_snapshot(store) == 0


async def test_a_repository_may_be_told_otherwise() -> None:
    async with connect("memory:") as store:
        rarely = Repository(store, Tally, snapshots=EveryEvents(1000))
        tally = await rarely.save(Tally.begin(), entity_id="tally")
        for _ in range(5):
            await rarely.update(tally.id, Tally.count, 1)
        await rarely.settle()
        assert await _events_after_the_snapshot(store) is None


async def test_subclasses_inherit_it() -> None:
    async with connect("memory:") as store:
        tallies = Repository(store, SlowTally)
        tally = await tallies.save(SlowTally.begin(), entity_id="tally")
        for _ in range(2):
            await tallies.update(tally.id, SlowTally.count, 1)
        await tallies.settle()
        assert await _events_after_the_snapshot(store) == 0
