"""The cache makes updates faster and changes nothing: what it holds is the sum of events."""

from dataclasses import dataclass, field, replace
from typing import Self

import pytest

from eventuary import Aggregate, Event, EventStore, EveryEvents, Repository, apply, connect
from eventuary.connecting import VanishingEventStore


class TallyEvent(Event, entity="Tally"): ...


class TallyBegun(TallyEvent): ...


class TallyMarked(TallyEvent):
    marks: int


class Tally(Aggregate):
    marks: int
    history: list[int]

    @classmethod
    def begin(cls) -> TallyBegun:
        return TallyBegun()

    def mark(self, marks: int) -> TallyMarked:
        return TallyMarked(marks)

    def mark_and_change(self, marks: int) -> TallyMarked:
        """Do what a command must not: change the state, and its version."""
        self.marks += 1000
        self.history.append(-1)
        self.version = self.id = "changed"
        return TallyMarked(marks)

    def change_only(self) -> None:
        self.marks += 1000
        self.history.append(-1)

    def change_and_raise(self) -> TallyMarked:
        self.change_only()
        raise ValueError("changed")

    @apply
    def _begun(self, _: TallyBegun) -> None:
        self.marks = 0
        self.history = []

    @apply
    def _marked(self, event: TallyMarked) -> None:
        self.marks += event.marks
        self.history.append(event.marks)


@dataclass(frozen=True)
class FrozenTally(Aggregate):
    marks: int = 0
    history: tuple[int, ...] = field(default=())

    def mark(self, marks: int) -> TallyMarked:
        return TallyMarked(marks)

    @apply
    def _begun(self, _: TallyBegun) -> None: ...

    @apply
    def _marked(self, event: TallyMarked) -> Self:
        return replace(self, marks=self.marks + event.marks, history=(*self.history, event.marks))


def loads(store: EventStore) -> int:
    assert isinstance(store, VanishingEventStore)
    return store.statistics.loads


async def test_an_update_reads_nothing_of_what_is_cached() -> None:
    async with connect("memory:") as store:
        tallies = Repository(store, Tally)
        tally = await tallies.save(Tally.begin())
        for _ in range(5):
            await tallies.update(tally.id, Tally.mark, 1)
        assert loads(store) == 0
        other = Repository(store, Tally)
        for _ in range(5):
            await other.update(tally.id, Tally.mark, 1)
        assert loads(store) == 1
        assert (await tallies.load(tally.id)).marks == 10


async def test_without_a_cache_each_update_reads() -> None:
    async with connect("memory:") as store:
        tallies = Repository(store, Tally, cache=0)
        tally = await tallies.save(Tally.begin())
        for _ in range(5):
            tally = await tallies.update(tally.id, Tally.mark, 1)
        assert loads(store) == 5
        assert tally.history == [1] * 5


async def test_what_was_used_longest_ago_goes_first() -> None:
    async with connect("memory:") as store:
        tallies = Repository(store, Tally, cache=2)
        first, second = [await tallies.save(Tally.begin()) for _ in range(2)]
        await tallies.update(first.id, Tally.mark, 1)
        third = await tallies.save(Tally.begin())
        for tally, reads in ((first, 0), (third, 0), (second, 1)):
            before = loads(store)
            await tallies.update(tally.id, Tally.mark, 1)
            assert loads(store) - before == reads


@pytest.mark.parametrize("kind", [Tally, FrozenTally])
async def test_an_old_entry_is_found_out(kind: type[Tally] | type[FrozenTally]) -> None:
    async with connect("memory:") as store:
        here, elsewhere = Repository(store, kind), Repository(store, kind)

        def mark(tally: Tally | FrozenTally, marks: int) -> TallyMarked:
            return TallyMarked(marks + tally.marks * 10)

        tally = await here.save(TallyBegun())
        await elsewhere.update(tally.id, mark, 1)
        await here.update(tally.id, mark, 2)  # decided on 0, refused, decided on 1
        await elsewhere.update(tally.id, mark, 3)
        expected = [1, 12, 133]
        assert list((await elsewhere.load(tally.id)).history) == expected
        assert list((await here.load(tally.id)).history) == expected, "a load brings it up to date"
        assert await here.exists(tally.id)


@pytest.mark.parametrize("cache", [0, 10])
async def test_what_a_command_does_to_the_state_goes_nowhere(cache: int) -> None:
    async with connect("memory:") as store:
        tallies = Repository(store, Tally, cache=cache, snapshots=EveryEvents(3))
        tally = await tallies.save(Tally.begin())
        marks = []
        for number in range(4):
            tally = await tallies.update(tally.id, Tally.mark_and_change, number)
            marks.append(number)
            assert tally.history == marks, "not in what is returned"
            unchanged = await tallies.update(tally.id, Tally.change_only)
            assert unchanged.history == marks
            with pytest.raises(ValueError, match="changed"):
                await tallies.update(tally.id, Tally.change_and_raise)
            await tallies.settle()
        for repository in (tallies, Repository(store, Tally)):
            loaded = await repository.load(tally.id)
            assert (loaded.marks, loaded.history) == (6, marks), "not in the cache"
        stored = await store.load("default", "Tally", tally.id)
        assert stored.snapshot is not None
        reading = Repository(store, Tally, cache=0, snapshots=EveryEvents(3))
        assert (await reading.load(tally.id)).history == marks, "not in a snapshot"


@pytest.mark.parametrize("cache", [0, 10])
async def test_what_a_caller_does_to_a_state_goes_nowhere(cache: int) -> None:
    async with connect("memory:") as store:
        tallies = Repository(store, Tally, cache=cache, snapshots=EveryEvents(2))
        tally = await tallies.save(Tally.begin())
        tally.change_only()
        for _ in range(3):
            tally = await tallies.update(tally.id, Tally.mark, 1)
            tally.change_only()  # before the snapshot is made of it
        (await tallies.load(tally.id)).change_only()
        await tallies.settle()
        for repository in (
            tallies,
            Repository(store, Tally),
            Repository(store, Tally, snapshots=EveryEvents(2)),
        ):
            assert (await repository.load(tally.id)).history == [1, 1, 1]
