"""The judge of swimlanes is judged, in the ordinary suite: it finds what it is there to find."""

from collections.abc import Sequence

import pytest

from tests.acceptance.order import Delivery
from tests.torture.lane_judge import (
    Gap,
    Received,
    Stored,
    check_one_at_a_time,
    check_stored_stays,
)

#: Two swimlanes, whose positions are not those of one after the other.
_LOGGED = {0: [1, 4, 5, 9], 1: [2, 3, 7]}


def received(*came: tuple[int, int]) -> list[Received]:
    """Swimlanes and positions, a second apart, the first at 1."""
    return [
        Received(float(at), swimlane, position, Delivery("e", str(position)))
        for at, (swimlane, position) in enumerate(came, 1)
    ]


def lane(*positions: int) -> list[Received]:
    return received(*((0, position) for position in positions))


def test_each_once_and_in_order_passes() -> None:
    came = received((0, 1), (1, 2), (1, 3), (0, 4), (0, 5), (1, 7), (0, 9))
    assert check_one_at_a_time(came, _LOGGED) == 0


def test_rewinds_pass_and_are_counted() -> None:
    assert check_one_at_a_time(lane(1, 4, 5, 4, 5, 9, 1, 4), _LOGGED) == 2


@pytest.mark.parametrize(
    "positions",
    [(4,), (1, 5), (1, 4, 1, 5), (1, 4, 5, 1, 9)],
    ids=["begun late", "one left out", "two at once", "two at once, further on"],
)
def test_what_somebody_else_goes_on_with_is_found(positions: Sequence[int]) -> None:
    with pytest.raises(AssertionError, match="somebody else had the swimlane"):
        check_one_at_a_time(lane(*positions), _LOGGED)


def test_what_has_waited_to_be_read_may_come_in_any_order() -> None:
    """The heir's events were read before those of the one who had the swimlane until then."""
    came = lane(1, 4, 5, 1, 4, 9)  # read at 1, 2, 3, 4, 5, 6
    assert check_one_at_a_time(came, _LOGGED, gaps=[Gap(1.5, 3.2)]) == 2
    assert check_one_at_a_time(lane(1, 4, 1, 9), _LOGGED, gaps=[Gap(2.5, 3.9)]) == 1


def test_what_was_read_long_after_a_gap_has_not_waited() -> None:
    gaps = [Gap(0.5, 1.9)]  # until 3.9
    with pytest.raises(AssertionError, match="somebody else had the swimlane"):
        check_one_at_a_time(lane(1, 4, 1, 9), _LOGGED, gaps=gaps)
    with pytest.raises(AssertionError, match="somebody else had the swimlane"):
        check_one_at_a_time(lane(1, 4, 1, 4, 9), _LOGGED, gaps=[Gap(0.5, 0.6)])


@pytest.mark.parametrize("position", [6, 2])
def test_what_is_not_of_the_swimlane_is_found(position: int) -> None:
    with pytest.raises(AssertionError, match="was delivered and is not stored"):
        check_one_at_a_time(lane(1, position), _LOGGED)


def test_what_comes_beyond_what_is_stored_passes() -> None:
    looks = [Stored(0.5, {0: 0, 1: 0}), Stored(2.5, {0: 4, 1: 0}), Stored(9.0, {0: 9, 1: 7})]
    check_stored_stays(lane(1, 4, 5, 9), looks)


def test_what_comes_again_though_it_was_stored_is_found() -> None:
    looks = [Stored(1.5, {0: 1}), Stored(2.5, {0: 4})]
    with pytest.raises(AssertionError, match="came although position 4 was stored"):
        check_stored_stays(lane(1, 4, 4), looks)


def test_what_had_waited_while_its_successors_were_stored_passes() -> None:
    looks = [Stored(1.5, {0: 1}), Stored(2.5, {0: 4})]
    check_stored_stays(lane(1, 4, 4), looks, gaps=[Gap(1.4, 2.9)])
    with pytest.raises(AssertionError, match="came although position 4 was stored"):
        check_stored_stays(lane(1, 4, 4, 5, 4), looks, gaps=[Gap(1.4, 2.9)])


def test_a_stored_position_that_has_gone_back_is_no_excuse() -> None:
    looks = [Stored(2.5, {0: 4}), Stored(2.7, {0: 1})]
    with pytest.raises(AssertionError, match="came although position 4 was stored"):
        check_stored_stays(lane(1, 4, 4), looks)


def test_what_was_stored_only_afterwards_passes() -> None:
    check_stored_stays(lane(1, 4, 4), [Stored(3.5, {0: 4})])
