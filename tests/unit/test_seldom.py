"""Lines that come too often are held back, and counted."""

import pytest

from eventuary.seldom import Seldom


def test_one_in_ten_seconds_which_tells_of_the_others() -> None:
    now = 0.0
    seldom = Seldom(clock=lambda: now)
    said = []
    for tenth in range(301):
        now = tenth / 10
        more = seldom.due()
        if more is not None:
            said.append((now, more))
    held_back = " (and 99 more since the last such line)"
    assert said == [(0, ""), (10, held_back), (20, held_back), (30, held_back)]


@pytest.mark.parametrize("begin", [-1e9, 0.0, 1e9])
def test_lines_far_apart_are_all_written_wherever_the_clock_begins(begin: float) -> None:
    now = begin
    seldom = Seldom(2.0, clock=lambda: now)
    for _ in range(5):
        assert seldom.due() == ""
        now += 2.0
