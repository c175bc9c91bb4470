"""People, whose names are nobody's business: what the tests of encryption play with."""

from eventuary import Aggregate, Event, apply


class PersonEvent(Event, entity="people.Person"): ...


class Registered(PersonEvent):
    name: str


class Renamed(PersonEvent):
    name: str


class Person(Aggregate):
    name: str = ""
    renamings: int = 0

    @classmethod
    def register(cls, name: str) -> Registered:
        return Registered(name)

    def rename(self, name: str) -> Renamed | None:
        return None if name == self.name else Renamed(name)

    @apply
    def _registered(self, event: Registered) -> None:
        self.name = event.name

    @apply
    def _renamed(self, event: Renamed) -> None:
        self.name = event.name
        self.renamings += 1
