"""The judges of these tests are judged: each finds what it is there to find."""

import msgspec
import pytest

from tests.acceptance.load import Batch, Outcome, check_stored
from tests.acceptance.order import Delivery, check_order, missing
from tests.acceptance.rest_client import Stored, is_in_doubt

_STORED = {"a": ["1", "2", "3"], "b": ["4"]}


def _deliveries(text: str) -> list[Delivery]:
    return [Delivery(each[0], each[1]) for each in text.split()]


@pytest.mark.parametrize("text", ["a1 a2 a3 b4", "a1 b4 a2 a3", "a1 a2 a1 a2 a3 b4", "a1 a1 a2 a3"])
def test_order_and_rewinds_pass(text: str) -> None:
    check_order(_deliveries(text), _STORED)


@pytest.mark.parametrize("text", ["a2", "a1 a3", "a1 a2 a1 a4", "b1", "a1 a2 c1"])
def test_gaps_and_strangers_do_not(text: str) -> None:
    with pytest.raises(AssertionError):
        check_order(_deliveries(text), _STORED)


def test_what_is_missing_is_found() -> None:
    assert missing(_deliveries("a1 a2 b4"), _STORED) == {Delivery("a", "3")}
    assert not missing(_deliveries("a1 a2 b4 a3"), _STORED)


def _stored(*places: tuple[int, int, int]) -> list[Stored]:
    return [
        Stored(
            str(index),
            "Changed",
            msgspec.json.encode({"batch": batch, "place": place, "size": size}).decode(),
        )
        for index, (batch, place, size) in enumerate(places)
    ]


@pytest.mark.parametrize(
    "explanation",
    [
        "storage: no answer in time; it is not known whether this was written",
        "storage: the server was stopped; this may have been written",
        "storage: the connection was lost; what was to be written may have been",
    ],
)
def test_an_answer_that_does_not_know_is_one(explanation: str) -> None:
    assert is_in_doubt(explanation)
    assert not is_in_doubt("storage: no node can be reached; nothing was written")


_ACKNOWLEDGED = Batch(1, 2, Outcome.ACKNOWLEDGED, ["0", "1"])
_UNKNOWN = Batch(2, 2, Outcome.UNKNOWN, [])
_REFUSED = Batch(2, 2, Outcome.REFUSED, [])
_WHOLE = ((1, 0, 2), (1, 1, 2))


@pytest.mark.parametrize("more", [(), ((2, 0, 2), (2, 1, 2))])
def test_whole_batches_pass(more: tuple[tuple[int, int, int], ...]) -> None:
    check_stored("e", [_ACKNOWLEDGED, _UNKNOWN], _stored(*_WHOLE, *more), hint="")


@pytest.mark.parametrize(
    ("batches", "places", "said"),
    [
        ([_ACKNOWLEDGED], (), "was acknowledged"),
        ([_ACKNOWLEDGED], _WHOLE[:1], "half a batch"),
        ([_ACKNOWLEDGED, _UNKNOWN], (*_WHOLE, (2, 0, 2)), "half a batch"),
        ([_ACKNOWLEDGED, _REFUSED], (*_WHOLE, (2, 0, 2), (2, 1, 2)), "answered 503"),
        ([_ACKNOWLEDGED], (*_WHOLE, *_WHOLE), "half a batch"),
        ([_UNKNOWN, _ACKNOWLEDGED], ((2, 0, 1), *_WHOLE), "out of order"),
        ([_ACKNOWLEDGED], (*_WHOLE, (3, 0, 1)), "3"),
    ],
)
def test_losses_halves_and_ghosts_do_not(
    batches: list[Batch], places: tuple[tuple[int, int, int], ...], said: str
) -> None:
    with pytest.raises(AssertionError, match=said):
        check_stored("e", batches, _stored(*places), hint="")
