"""Boxes that things are put into: what the tests of aggregates play with."""

from eventuary import Aggregate, Event, apply


class BoxEvent(Event, entity="Box"): ...


class BoxMade(BoxEvent):
    size: int


class ThingAdded(BoxEvent):
    thing: str


class ThingRemoved(BoxEvent):
    thing: str


class BoxSealed(BoxEvent): ...


class CrateEvent(Event, entity="Crate"): ...


class CrateMade(CrateEvent): ...


class Box(Aggregate):
    size: int
    things: list[str]

    @classmethod
    def make(cls, size: int) -> BoxMade:
        return BoxMade(size)

    def add(self, thing: str) -> ThingAdded:
        return ThingAdded(thing)

    def swap(self, old: str, new: str) -> list[ThingRemoved | ThingAdded]:
        return [ThingRemoved(old), ThingAdded(new)]

    def is_full(self) -> bool:
        return len(self.things) >= self.size

    @apply
    def _made(self, event: BoxMade) -> None:
        self.size = event.size
        self.things = []

    @apply
    def _things(self, event: ThingAdded | ThingRemoved) -> None:
        match event:
            case ThingAdded(thing):
                self.things.append(thing)
            case ThingRemoved(thing):
                self.things.remove(thing)
