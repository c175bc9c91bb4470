"""Ids grow, whatever the clock does, and their text form is the protocol's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventuary.errors import BadRequest
from eventuary.ids import ZERO_ID, IdGenerator, new_node_number, parse_id


@given(
    st.lists(st.integers(0, 10**19), min_size=1, max_size=200),
    st.integers(0, (1 << 48) - 1),
)
def test_ids_grow_whatever_the_clock_does(times: list[int], node: int) -> None:
    ticks = iter(times)
    generator = IdGenerator(node, clock=lambda: next(ticks))
    ids = [generator.next_id() for _ in times]
    assert ids == sorted(set(ids))
    for each in ids:
        assert parse_id(each, "id") == each
        assert int(each[17:29], 16) == node


def test_more_ids_than_a_millisecond_holds_borrow_the_next() -> None:
    generator = IdGenerator(1, clock=lambda: 5_000_000)
    ids = [generator.next_id() for _ in range(65_536 * 2 + 1)]
    assert ids == sorted(set(ids))
    assert ids[0].startswith("0000000000000005-")
    assert ids[-1] == "0000000000000007-0000000000010000"


def test_ids_begin_above_the_last_one_used() -> None:
    last = "0000000000000009-0000000000ff0003"
    generator = IdGenerator(0, after=last, clock=lambda: 1_000_000)
    assert generator.next_id() == "000000000000000a-0000000000000000"


def test_the_high_half_is_milliseconds_since_the_epoch() -> None:
    generator = IdGenerator(0xABC, clock=lambda: 1_700_000_000_123_456_789)
    assert generator.next_id() == f"{1_700_000_000_123:016x}-000000000abc0000"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("1-2", "0000000000000001-0000000000000002"),
        ("00A-B", "000000000000000a-000000000000000b"),
        (ZERO_ID, ZERO_ID),
    ],
)
def test_short_and_upper_case_ids_are_accepted(text: str, normal: str) -> None:
    assert parse_id(text, "entityVersion") == normal


@pytest.mark.parametrize(
    "text", ["", "-", "1", "1-", "-1", "g-1", "1-2-3", "1" * 17 + "-1", " 1-2", "1-2\n", "١-٢"]
)
def test_what_is_no_id_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequest, match=r"entityVersion: .* is not an id"):
        parse_id(text, "entityVersion")


def test_node_numbers_are_48_bits() -> None:
    assert all(0 <= new_node_number() < 1 << 48 for _ in range(100))
    with pytest.raises(ValueError, match="outside"):
        IdGenerator(1 << 48)
