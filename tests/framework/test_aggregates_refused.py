"""Aggregate classes that are refused when they are made, and how the refusal reads."""

import pytest

from eventuary import Aggregate, apply
from tests.framework.boxes import Box, BoxMade, BoxSealed, CrateMade, ThingAdded


def test_a_command_whose_event_is_not_applied_is_refused() -> None:
    for annotation in (BoxSealed, BoxSealed | None, list[BoxMade | BoxSealed], "BoxSealed | None"):

        def seal(self: object) -> object: ...

        seal.__annotations__["return"] = annotation
        members = {"seal": seal, "_made": Box._made}
        with pytest.raises(TypeError, match=r"Unsealable.seal emits BoxSealed, and no @apply meth"):
            type("Unsealable", (Aggregate,), members)


def test_a_creating_command_is_checked_too() -> None:
    with pytest.raises(
        TypeError, match=r"Strange.make emits CrateMade, and no @apply method of St"
    ):

        class Strange(Aggregate):
            @classmethod
            def make(cls) -> CrateMade:
                return CrateMade()

            @apply
            def _made(self, event: BoxMade) -> None: ...


def test_a_command_of_an_abstract_class_is_checked_where_something_is_applied() -> None:
    class Sealable(Aggregate):
        def seal(self) -> BoxSealed:
            return BoxSealed()

    with pytest.raises(TypeError, match=r"HalfSealable.seal emits BoxSealed, and no @apply method"):

        class HalfSealable(Sealable):
            @apply
            def _made(self, event: BoxMade) -> None: ...

    class WellSealable(Sealable):
        @apply
        def _all(self, event: BoxMade | BoxSealed) -> None: ...

    class Unsealing(Sealable):
        def seal(self) -> BoxMade:  # type: ignore[override]  # another one
            return BoxMade(0)

        @apply
        def _made(self, event: BoxMade) -> None: ...


def test_a_method_that_does_not_say_what_it_returns_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Quiet.add does not say what it returns: annotate"):

        class Quiet(Aggregate):
            def add(self):  # type: ignore[no-untyped-def]  # that is the point
                return ThingAdded("a")

            @apply
            def _added(self, event: ThingAdded) -> None: ...


def test_private_methods_and_properties_are_left_alone() -> None:
    class Private(Aggregate):
        def _compute(self):  # type: ignore[no-untyped-def]  # that is the point
            return BoxSealed()

        @property
        def answer(self):  # type: ignore[no-untyped-def]  # that is the point
            return 42

        @apply
        def _added(self, event: ThingAdded) -> None: ...


def test_events_of_two_entity_types_are_refused() -> None:
    with pytest.raises(TypeError, match="Mixed applies events of several entity types: Box, Crate"):

        class Mixed(Aggregate):
            @apply
            def _box(self, event: BoxMade) -> None: ...

            @apply
            def _crate(self, event: CrateMade) -> None: ...


def test_an_event_that_is_applied_twice_is_refused() -> None:
    with pytest.raises(TypeError, match="Twice applies BoxMade twice: in _one and in _two"):

        class Twice(Aggregate):
            @apply
            def _one(self, event: BoxMade) -> None: ...

            @apply
            def _two(self, event: ThingAdded | BoxMade) -> None: ...


def test_an_apply_method_without_an_event_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"Bare._made: an @apply method takes self and an annotated"
    ):

        class Bare(Aggregate):
            @apply
            def _made(self, event) -> None: ...  # type: ignore[no-untyped-def]  # that is the point

    with pytest.raises(
        TypeError, match=r"Long._made: an @apply method takes self and an annotated"
    ):

        class Long(Aggregate):
            @apply
            def _made(self, event: BoxMade, more: int) -> None: ...

    with pytest.raises(TypeError, match=r"Odd._made: <class 'int'> is not an event class: derive"):

        class Odd(Aggregate):
            @apply
            def _made(self, event: int) -> None: ...


def test_an_override_that_would_never_be_called_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"Deaf._made overrides an @apply method of Box and would never be called"
    ):

        class Deaf(Box):
            def _made(self, event: BoxMade) -> None:
                self.size = -1
