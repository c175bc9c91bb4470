"""Aggregates of all shapes, and what is refused when they run."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import pytest

from eventuary import Aggregate, Event, Repository, UnknownEvent, UnknownEvents, apply, connect
from eventuary.events import NewEvent
from eventuary.framework.aggregate import decided, fold
from tests.framework.boxes import Box, BoxMade, BoxSealed, ThingAdded, ThingRemoved


@dataclass(frozen=True)
class FrozenBox(Aggregate):
    size: int = 0
    things: tuple[str, ...] = ()

    def add(self, thing: str) -> ThingAdded:
        return ThingAdded(thing)

    @apply
    def _made(self, event: BoxMade) -> Self:
        return replace(self, size=event.size)

    @apply
    def _added(self, event: ThingAdded) -> Self:
        return replace(self, things=(*self.things, event.thing))


@dataclass(slots=True)
class SlotsBox(Aggregate):
    size: int = 0
    things: list[str] = field(default_factory=list)

    def add(self, thing: str) -> ThingAdded:
        return ThingAdded(thing)

    @apply
    def _made(self, event: BoxMade) -> None:
        self.size = event.size

    @apply
    def _added(self, event: ThingAdded) -> None:
        self.things.append(event.thing)


class SealableBox(Box):
    """Inherits what Box applies, and does one of it otherwise."""

    sealed: bool = False

    def seal(self) -> BoxSealed:
        return BoxSealed()

    @apply
    def _made(self, event: BoxMade) -> None:
        super()._made(event)
        self.sealed = False

    @apply
    def _sealed(self, _: BoxSealed) -> None:
        self.sealed = True


AnyBox = Box | FrozenBox | SlotsBox


def add(box: AnyBox, thing: str) -> ThingAdded:
    return box.add(thing)


def test_state_is_the_sum_of_events() -> None:
    box = fold(Box(), [BoxMade(2), ThingAdded("a"), ThingAdded("b"), ThingRemoved("a")])
    assert (box.size, box.things, box.is_full()) == (2, ["b"], False)


def test_what_is_inherited_is_applied_too() -> None:
    box = fold(SealableBox(), [BoxMade(1), ThingAdded("a"), BoxSealed()])
    assert (box.things, box.sealed) == (["a"], True)
    assert not fold(SealableBox(), [BoxMade(1)]).sealed
    with pytest.raises(TypeError, match="Box has no @apply method for BoxSealed"):
        fold(Box(), [BoxMade(1), BoxSealed()])


@pytest.mark.parametrize("kind", [Box, SealableBox, FrozenBox, SlotsBox])
async def test_each_shape_is_stored_updated_and_loaded(
    kind: type[AnyBox],
) -> None:
    async with connect("memory:") as store:
        boxes: Repository[AnyBox] = Repository(store, kind)
        box = await boxes.save(BoxMade(3))
        for thing in "abc":
            box = await boxes.update(box.id, add, thing)
        for loaded in (box, await boxes.load(box.id), await Repository(store, kind).load(box.id)):
            assert type(loaded) is kind
            assert (loaded.size, list(loaded.things)) == (3, ["a", "b", "c"])
            assert (loaded.id, loaded.version) == (box.id, box.version)
        assert len(box.version) == 33
        past = await boxes.load(box.id, at=(await boxes.history(box.id))[1].event_id)
        assert list(past.things) == ["a"]


async def test_a_state_that_was_handed_out_is_not_changed_by_later_updates() -> None:
    async with connect("memory:") as store:
        for kind in (Box, SlotsBox, FrozenBox):
            boxes: Repository[AnyBox] = Repository(store, kind)
            first = await boxes.save(BoxMade(3))
            second = await boxes.update(first.id, add, "a")
            await boxes.update(first.id, add, "b")
            assert (list(first.things), list(second.things)) == ([], ["a"])


def test_classes_of_a_function() -> None:
    class Poked(Event, entity="Local"):
        times: int

    class Local(Aggregate):
        poked: int = 0

        def poke(self) -> Poked:
            return Poked(1)

        @apply
        def _poked(self, event: Poked) -> None:
            self.poked += event.times

    assert fold(Local(), [Poked(2), Poked(3)]).poked == 5


# ── Refused when it runs ──────────────────────────────────────────────────────────────────────────


def test_decisions_that_are_none() -> None:
    assert decided(None) == decided([]) == decided(()) == ()
    assert decided(BoxSealed()) == (BoxSealed(),)
    assert decided([BoxMade(1), BoxSealed()]) == (BoxMade(1), BoxSealed())
    for wrong, text in (
        (7, "a command returned int; it returns an event, a sequence of events, or None"),
        ([BoxSealed(), "no"], "a command returned list"),
        ((each for each in [BoxSealed()]), "a command returned generator"),
    ):
        with pytest.raises(TypeError, match=text):
            decided(wrong)  # type: ignore[arg-type]  # that is the point


async def test_a_command_that_waits_is_refused() -> None:
    async def slow(_: Box) -> BoxSealed:
        return BoxSealed()

    async with connect("memory:") as store:
        boxes = Repository(store, Box)
        box = await boxes.save(Box.make(1))
        with (
            pytest.warns(RuntimeWarning, match="never awaited"),
            pytest.raises(TypeError, match="a command is a coroutine function; commands decide"),
        ):
            await boxes.update(box.id, slow)  # type: ignore[arg-type]  # that is the point


async def test_what_can_t_be_applied_is_not_stored() -> None:
    async with connect("memory:") as store:
        boxes = Repository(store, Box)
        box = await boxes.save(Box.make(1))
        with pytest.raises(TypeError, match="Box has no @apply method for BoxSealed"):
            await boxes.update(box.id, lambda _: [ThingAdded("a"), BoxSealed()])
        with pytest.raises(ValueError, match="x not in list"):
            await boxes.update(box.id, lambda _: ThingRemoved("a"))
        assert len(await boxes.history(box.id)) == 1


def test_an_aggregate_that_applies_nothing_has_no_repository() -> None:
    class Nothing(Aggregate): ...

    with pytest.raises(TypeError, match="Nothing has no @apply method: it could have no state"):
        Repository(connect("memory:"), Nothing)


# ── Unknown events ────────────────────────────────────────────────────────────────────────────────


async def test_an_unknown_event_type_is_refused_or_skipped_as_the_class_says() -> None:
    class Lenient(Box, unknown_events=UnknownEvents.SKIP): ...

    class LenientToo(Lenient): ...

    class StrictAgain(LenientToo, unknown_events=UnknownEvents.REFUSE): ...

    unheard: Sequence[NewEvent] = [
        NewEvent("BoxMade", '{"size":1}'),
        NewEvent("BoxPainted", '{"colour":"red"}'),
        NewEvent("ThingAdded", '{"thing":"a"}'),
        NewEvent("BoxDropped", "{}"),
    ]
    async with connect("memory:") as store:
        stored = await store.create("default", "Box", unheard, entity_id="b")
        for strict in (Box, StrictAgain):
            for reading in (Repository(store, strict).load, Repository(store, strict).history):
                with pytest.raises(
                    UnknownEvent,
                    match=f"Box 'b' has an event {stored.event_ids[1]} of type 'BoxPainted', which "
                    f"{strict.__name__} does not apply; if it means nothing here, say unknown_",
                ):
                    await reading("b")
        for lenient in (Lenient, LenientToo):
            boxes = Repository(store, lenient)
            box = await boxes.load("b")
            assert (box.things, box.version) == (["a"], stored.event_ids[-1])
            assert [each.event for each in await boxes.history("b")] == [
                BoxMade(1),
                ThingAdded("a"),
            ]
        assert (await boxes.update("b", LenientToo.add, "c")).things == ["a", "c"]
