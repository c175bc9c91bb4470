"""Aggregates in a module whose annotations are text: ``from __future__ import annotations``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from eventuary import Aggregate, Event, EveryEvents, Repository, apply, connect
from eventuary.framework.aggregate import fold

if TYPE_CHECKING:
    from tests.framework.shop import OrderApproved


class LampEvent(Event, entity="Lamp"): ...


class LampMade(LampEvent):
    watts: int


class LampLit(LampEvent): ...


class Lamp(Aggregate):
    watts: int
    lit: bool = False
    twin: Lamp | None = None

    @classmethod
    def make(cls, watts: int) -> LampMade | None:
        return LampMade(watts)

    def light(self) -> list[LampLit]:
        return [LampLit()]

    def like(self, other: Lamp) -> bool:
        return self.watts == other.watts

    @apply
    def _made(self, event: LampMade) -> None:
        self.watts = event.watts

    @apply
    def _lit(self, event: LampLit) -> None:
        self.lit = True


@dataclass(frozen=True, slots=True)
class FrozenLamp(Aggregate):
    watts: int = 0

    @apply
    def _made(self, event: LampMade) -> FrozenLamp:
        return replace(self, watts=event.watts)


async def test_they_are_stored_and_loaded() -> None:
    async with connect("memory:") as store:
        lamp = await Repository(store, Lamp).save(LampMade(60))
        assert (await Repository(store, Lamp).load(lamp.id)).watts == 60
        assert (await Repository(store, FrozenLamp).load(lamp.id)).watts == 60


async def test_they_have_snapshots_if_their_state_has_a_json_form() -> None:
    async with connect("memory:") as store:
        lamps = Repository(store, FrozenLamp, snapshots=EveryEvents(1), cache=0)
        lamp = await lamps.save(LampMade(60))
        await lamps.settle()
        stored = await store.load("default", "Lamp", lamp.id)
        assert stored.snapshot is not None
        assert stored.events == []
        assert (await lamps.load(lamp.id)).watts == 60
        with pytest.raises(
            TypeError, match=r"(?s)Lamp can't have snapshots: .*annotate its state with"
        ):
            Repository(store, Lamp, snapshots=EveryEvents(1))


def test_classes_of_a_function() -> None:
    class Rung(Event, entity="Bell"): ...

    class Bell(Aggregate):
        rung: int = 0

        def ring(self) -> Rung:
            return Rung()

        def twice(self, other: Bell) -> bool:
            return other.rung == 2

        @apply
        def _rung(self, event: Rung) -> None:
            self.rung += 1

    assert fold(Bell(), [Rung(), Rung()]).rung == 2
    with pytest.raises(TypeError, match=r"Mute.ring emits Rung, and no @apply method of Mute"):

        class Mute(Aggregate):
            def ring(self) -> Rung:
                return Rung()

            @apply
            def _silenced(self, event: LampMade) -> None: ...


def test_annotations_that_mean_nothing_when_it_runs_are_refused_with_advice() -> None:
    with pytest.raises(
        TypeError,
        match=r"Hidden.approve: name 'OrderApproved' is not defined; import the classes of its "
        "annotations where Hidden is defined, not under TYPE_CHECKING",
    ):

        class Hidden(Aggregate):
            def approve(self) -> OrderApproved | None:
                return None

            @apply
            def _made(self, event: LampMade) -> None: ...
