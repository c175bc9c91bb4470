"""Swimlanes are shared out by consumers: all of them, to the same result for all who ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventuary.delivery.fair_share import fair_shares


@pytest.mark.parametrize(
    ("consumers", "shares"),
    [
        ({1: 1}, {1: 8}),
        ({1: 1, 2: 1}, {1: 4, 2: 4}),
        ({1: 1, 2: 1, 3: 1}, {1: 3, 2: 3, 3: 2}),
        ({1: 3, 2: 1}, {1: 6, 2: 2}),
        ({1: 10, 2: 1}, {1: 7, 2: 1}),
        ({1: 0, 2: 1}, {1: 0, 2: 8}),
        ({1: 0}, {1: 0}),
        (dict.fromkeys(range(10), 1), {number: int(number < 8) for number in range(10)}),
    ],
)
def test_shares(consumers: dict[int, int], shares: dict[int, int]) -> None:
    assert fair_shares(consumers, 8) == shares


@given(st.dictionaries(st.integers(1, 99), st.integers(0, 50), min_size=1), st.integers(1, 256))
def test_all_are_given_and_nobody_gets_more_than_a_part_too_much(
    consumers: dict[int, int], swimlanes: int
) -> None:
    shares = fair_shares(consumers, swimlanes)
    total = sum(consumers.values())
    assert sum(shares.values()) == (swimlanes if total else 0)
    for server, number in consumers.items():
        if total:
            assert abs(shares[server] - swimlanes * number / total) < 1
    assert shares == fair_shares(dict(reversed(consumers.items())), swimlanes)
