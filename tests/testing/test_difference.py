"""Differences: none between a value and its copy, at least one between values that differ."""

import copy
from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from eventuary.testing.difference import attribute_differences, differences, shown

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.frozensets(st.integers(), max_size=4)
    ),
    max_leaves=10,
)


@given(values)
def test_a_copy_does_not_differ(value: object) -> None:
    assert differences(value, copy.deepcopy(value)) == []


@given(values, values)
@settings(max_examples=200)
def test_what_is_not_equal_differs_and_what_is_equal_does_not(one: object, other: object) -> None:
    assert (differences(one, other) == []) is (one == other)


@dataclass
class Point:
    x: int
    y: object = None


class Plain:
    """Equal to itself alone."""

    def __init__(self, **attributes: object) -> None:
        vars(self).update(attributes)


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a: object) -> None:
        self.a = a


class Stubborn:
    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]  # as Python does it where only == is defined


class Raising:
    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]  # ditto


def test_objects_are_compared_by_what_they_hold() -> None:
    assert differences(Plain(a=1, b=[Plain(c=2)]), Plain(a=1, b=[Plain(c=2)])) == []
    assert differences(Plain(), Plain()) == []
    assert differences(Plain(b=[Plain(c=2)]), Plain(b=[Plain(c=3)])) == [
        "b[0].c: expected 2, got 3"
    ]
    assert differences(Point(1, Slots(1)), Point(1, Slots(2))) == ["y.a: expected 1, got 2"]
    assert differences(Slots(1), Slots(1)) == []
    assert len(differences(Point(1), Plain(x=1, y=None))) == 1, "of another type"


def test_a_type_s_own_opinion_counts() -> None:
    [line] = differences([Stubborn()], [Stubborn()])
    assert line.startswith("[0]: expected <")
    assert len(differences(Raising(), Raising())) == 1


def test_a_list_and_a_tuple_are_the_same_but_not_a_list_and_a_text() -> None:
    assert differences([1, (2, 3)], (1, [2, 3])) == []
    assert differences([1, 2], (1, 3)) == ["[1]: expected 2, got 3"]
    assert differences(["a"], "a") == ["it: expected ['a'], got 'a'"]
    assert differences({"a": 1}, [1]) == ["it: expected {'a': 1}, got [1]"]
    assert differences(Decimal("1.0"), 1) == []


def test_what_holds_itself() -> None:
    def ring(number: int) -> Plain:
        plain = Plain(number=number)
        vars(plain)["me"] = plain
        return plain

    assert differences(ring(1), ring(1)) == []
    assert differences(ring(1), ring(2)) == ["number: expected 1, got 2"]


def test_attributes_count_even_if_equality_leaves_them_out() -> None:
    one, other = Point(1), Point(1)
    vars(other)["hidden"] = 7
    assert differences(one, other) == []
    assert attribute_differences(one, other) == ["hidden: not expected, got 7"]


def test_long_values_are_cut_in_the_middle() -> None:
    text = shown("a" * 1000 + "z")
    assert len(text) < 310
    assert text.startswith("'aaa")
    assert text.endswith("z'")
    assert shown("short") == "'short'"
