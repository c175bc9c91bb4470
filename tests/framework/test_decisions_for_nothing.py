"""A command that decides for nothing does so on the present state, whatever the cache holds."""

import pytest

from eventuary import Aggregate, Event, EventStore, Repository, apply, connect


class DoorEvent(Event, entity="Door"): ...


class DoorBuilt(DoorEvent): ...


class DoorOpened(DoorEvent): ...


class DoorShut(DoorEvent): ...


class AlreadyShut(Exception):
    """Nobody shuts a door that is shut."""


class Door(Aggregate):
    open: bool = False

    @classmethod
    def build(cls) -> DoorBuilt:
        return DoorBuilt()

    def unlatch(self) -> DoorOpened | None:
        return None if self.open else DoorOpened()

    def shut(self) -> DoorShut | None:
        return DoorShut() if self.open else None

    def slam(self) -> DoorShut:
        if not self.open:
            raise AlreadyShut
        return DoorShut()

    @apply
    def _built(self, _: DoorBuilt) -> None:
        self.open = False

    @apply
    def _opened(self, _: DoorOpened) -> None:
        self.open = True

    @apply
    def _shut(self, _: DoorShut) -> None:
        self.open = False


async def _opened_elsewhere(store: EventStore) -> tuple[Repository[Door], str]:
    """Return a repository whose cache has a shut door that another process has opened."""
    here, elsewhere = Repository(store, Door), Repository(store, Door)
    door = await here.save(Door.build())
    await elsewhere.update(door.id, Door.unlatch)
    return here, door.id


async def test_a_decision_for_nothing_is_made_on_the_present_state() -> None:
    async with connect("memory:") as store:
        doors, door_id = await _opened_elsewhere(store)
        await doors.update(door_id, Door.shut)
        assert [type(each.event) for each in await doors.history(door_id)] == [
            DoorBuilt,
            DoorOpened,
            DoorShut,
        ]


async def test_a_refusal_is_made_on_the_present_state() -> None:
    async with connect("memory:") as store:
        doors, door_id = await _opened_elsewhere(store)
        assert not (await doors.update(door_id, Door.slam)).open
        with pytest.raises(AlreadyShut):
            await doors.update(door_id, Door.slam)


async def test_what_is_decided_for_nothing_returns_the_present_state() -> None:
    async with connect("memory:") as store:
        doors, door_id = await _opened_elsewhere(store)
        door = await doors.update(door_id, Door.unlatch)
        assert door.open
        assert door.version == (await doors.history(door_id))[-1].event_id
        assert len(await doors.history(door_id)) == 2
