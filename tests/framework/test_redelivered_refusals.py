"""An event that comes again changes nothing, even where the command would now refuse."""

import pytest

from eventuary import Aggregate, Event, Metadata, Repository, Trigger, apply, connect
from eventuary.tokens import event_token


class SeatEvent(Event, entity="Seat"): ...


class SeatAdded(SeatEvent): ...


class SeatTaken(SeatEvent): ...


class AlreadyTaken(Exception):
    """One seat, one person."""


class Seat(Aggregate):
    taken: bool = False

    @classmethod
    def add(cls) -> SeatAdded:
        return SeatAdded()

    def take(self) -> SeatTaken:
        if self.taken:
            raise AlreadyTaken
        return SeatTaken()

    @apply
    def _added(self, _: SeatAdded) -> None:
        self.taken = False

    @apply
    def _taken(self, _: SeatTaken) -> None:
        self.taken = True


@pytest.mark.parametrize("cache", [0, 10])
async def test_what_was_applied_is_not_decided_again(cache: int) -> None:
    event_id = "0000018c1a2b3c4d-0000000000010000"
    trigger = Trigger(event_id, event_token("booking", event_id), Metadata())
    async with connect("memory:") as store:
        seats = Repository(store, Seat, cache=cache)
        seat = await seats.save(Seat.add())
        first = await seats.because_of(trigger).update(seat.id, Seat.take)
        again = await seats.because_of(trigger).update(seat.id, Seat.take)
        assert again.version == first.version
        with pytest.raises(AlreadyTaken):
            await seats.update(seat.id, Seat.take)
