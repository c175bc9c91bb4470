"""Histories that are right, and histories that are wrong, told by hand."""

import pytest

from tests.linearizability.checking import NotLinearizable, TooHard, check
from tests.linearizability.operations import Answer, Operation, Read, Write


def write(
    called: float,
    returned: float,
    expected: str | None,
    *tags: str,
    answer: Answer = Answer.DONE,
    trigger: str | None = None,
) -> Write:
    return Write(
        called=called,
        returned=returned,
        tags=tags,
        expected=expected,
        answer=answer,
        trigger=trigger,
    )


def read(called: float, returned: float, *tags: str) -> Read:
    return Read(called=called, returned=returned, tags=tags or None)


CREATED = write(0, 1, None, "a")
UNKNOWN, CONFLICT = Answer.UNKNOWN, Answer.CONFLICT
EXISTS, NOT_FOUND, DUPLICATE = Answer.EXISTS, Answer.NOT_FOUND, Answer.DUPLICATE

RIGHT: dict[str, list[Operation]] = {
    "nothing at all": [],
    "one after the other": [CREATED, write(2, 3, "a", "b"), read(4, 5, "a", "b")],
    "several events at once": [write(0, 1, None, "a", "b"), write(2, 3, "b", "c", "d")],
    "nothing is there yet": [read(0, 1), CREATED, read(2, 3, "a")],
    "a read at the same time sees it": [CREATED, write(2, 9, "a", "b"), read(3, 4, "a", "b")],
    "a read at the same time does not see it": [CREATED, write(2, 9, "a", "b"), read(3, 4, "a")],
    "first one does not see it, then one does": [
        CREATED,
        write(2, 9, "a", "b"),
        read(3, 4, "a"),
        read(5, 6, "a", "b"),
    ],
    "one of two wins": [CREATED, write(2, 5, "a", "b"), write(2, 5, "a", "c", answer=CONFLICT)],
    "the one that returns first lost": [
        CREATED,
        write(2, 3, "a", "c", answer=CONFLICT),
        write(2, 5, "a", "b"),
    ],
    "one of two creations wins": [CREATED, write(0, 1, None, "b", answer=EXISTS)],
    "an append that comes too early": [write(0, 1, "x", "b", answer=NOT_FOUND), CREATED],
    "a trigger is applied once": [
        CREATED,
        write(2, 3, "a", "b", trigger="t"),
        write(4, 5, "a", "c", trigger="t", answer=DUPLICATE),
        write(6, 7, "b", "d", trigger="u"),
    ],
    "an answer was lost, and it is there": [
        CREATED,
        write(2, 3, "a", "b", answer=UNKNOWN),
        read(4, 5, "a", "b"),
    ],
    "an answer was lost, and it never came to be": [
        CREATED,
        write(2, 3, "a", "b", answer=UNKNOWN),
        read(4, 5, "a"),
        write(6, 7, "a", "c"),
        read(8, 9, "a", "c"),
    ],
    "an answer was lost, and it takes effect long after": [
        CREATED,
        write(2, 3, "a", "b", answer=UNKNOWN),
        read(4, 5, "a"),
        read(90, 91, "a", "b"),
    ],
    "a conflict with one whose answer was lost": [
        CREATED,
        write(2, 3, "a", "b", answer=UNKNOWN),
        write(4, 5, "a", "c", answer=CONFLICT),
    ],
    "several answers were lost, and one of them came to be": [
        CREATED,
        *(write(2, 3, "a", tag, answer=UNKNOWN) for tag in "bcde"),
        read(4, 5, "a", "d"),
        write(6, 7, "d", "f"),
    ],
    "a chain whose answers were lost": [
        CREATED,
        write(2, 3, "a", "b", answer=UNKNOWN),
        write(2, 3, "b", "c", answer=UNKNOWN),
        read(2, 9, "a", "b"),
        read(8, 9, "a", "b", "c"),
    ],
    "a creation whose answer was lost": [
        write(0, 1, None, "a", answer=UNKNOWN),
        read(2, 3),
        write(4, 5, None, "b", answer=EXISTS),
        read(6, 7, "a"),
    ],
}

WRONG: dict[str, list[Operation]] = {
    "a stale read after an append that was acknowledged": [
        CREATED,
        write(2, 3, "a", "b"),
        read(4, 5, "a"),
    ],
    "a creation that was acknowledged is not seen": [CREATED, read(2, 3)],
    "one read sees it, a later one does not": [
        CREATED,
        write(2, 9, "a", "b"),
        read(3, 4, "a", "b"),
        read(5, 6, "a"),
    ],
    "a read sees what was never answered, a later one does not": [
        CREATED,
        write(2, 3, "a", "b", answer=UNKNOWN),
        read(4, 5, "a", "b"),
        read(6, 7, "a"),
    ],
    "two were acknowledged from one version": [
        CREATED,
        write(2, 9, "a", "b"),
        write(2, 9, "a", "c"),
    ],
    "two creations were acknowledged": [CREATED, write(0, 1, None, "b")],
    "one that was acknowledged is lost": [
        CREATED,
        write(2, 3, "a", "b"),
        write(4, 5, "a", "c", answer=UNKNOWN),
        read(6, 7, "a", "c"),
    ],
    "a conflict with nothing": [CREATED, write(2, 3, "a", "b", answer=CONFLICT)],
    "a conflict with what came later": [
        CREATED,
        write(2, 3, "a", "b", answer=CONFLICT),
        write(4, 5, "a", "c"),
    ],
    "not found, though it was created": [CREATED, write(2, 3, "a", "b", answer=NOT_FOUND)],
    "exists, though nobody had created it": [write(0, 1, None, "a", answer=EXISTS)],
    "a duplicate of nothing": [CREATED, write(2, 3, "a", "b", trigger="t", answer=DUPLICATE)],
    "a trigger was applied twice": [
        CREATED,
        write(2, 3, "a", "b", trigger="t"),
        write(4, 5, "b", "c", trigger="t"),
    ],
    "a read of what nobody wrote": [CREATED, read(2, 3, "a", "z")],
    "a read of what was refused": [
        CREATED,
        write(2, 9, "a", "b"),
        write(2, 9, "a", "c", answer=CONFLICT),
        read(10, 11, "a", "b", "c"),
    ],
    "a read of what was not begun": [CREATED, read(2, 3, "a", "b"), write(4, 5, "a", "b")],
    "events in another order": [write(0, 1, None, "a", "b"), read(2, 3, "b", "a")],
    "appends in another order": [
        CREATED,
        write(2, 9, "a", "b"),
        write(2, 9, "b", "c"),
        read(10, 11, "a", "c", "b"),
    ],
    "half of what was appended": [CREATED, write(2, 3, "a", "b", "c"), read(2, 9, "a", "b")],
    "an event twice": [CREATED, write(2, 3, "a", "b"), read(4, 5, "a", "b", "b")],
    "a gap": [
        CREATED,
        write(2, 3, "a", "b"),
        write(4, 5, "b", "c"),
        read(6, 7, "a", "c"),
    ],
    "what was never answered takes effect before it was called": [
        CREATED,
        read(2, 3, "a", "b"),
        write(4, 5, "a", "b", answer=UNKNOWN),
    ],
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_history_that_is_right_is_accepted(name: str) -> None:
    check(RIGHT[name])
    check(RIGHT[name][::-1])


@pytest.mark.parametrize("name", WRONG)
def test_a_history_that_is_wrong_is_refused(name: str) -> None:
    for history in (WRONG[name], WRONG[name][::-1]):
        with pytest.raises(NotLinearizable):
            check(history)


def test_a_refusal_tells_how_far_it_was_understood_and_what_does_not_fit() -> None:
    with pytest.raises(NotLinearizable) as error:
        check([CREATED, write(2, 3, "a", "b"), read(4, 5, "a")])
    told = str(error.value)
    assert "leaves the entity with ['a', 'b']" in told
    assert told.splitlines()[-1].strip().startswith("Read(called=4")


def test_a_long_history_of_two_clients_is_searched_through() -> None:
    """Three hundred appends, each with a conflict and a read beside it, some never answered."""
    history: list[Operation] = [CREATED]
    tags = ["a"]
    for n in range(300):
        now = 10.0 * n + 5
        lost = UNKNOWN if n % 10 == 0 else Answer.DONE
        history.append(write(now, now + 5, tags[-1], f"w{n}", answer=lost))
        history.append(write(now, now + 6, tags[-1], f"c{n}", answer=CONFLICT))
        history.append(read(now + 1, now + 4, *tags))
        tags.append(f"w{n}")
    check([*history, read(9000, 9001, *tags)])
    with pytest.raises(NotLinearizable):
        check([*history, read(9000, 9001, *tags[:-1])])


def test_a_history_that_needs_too_many_steps_is_given_up() -> None:
    """Any of these may have come to be, and none explains the read."""
    lost = [write(2, 3, "a", f"b{n}", answer=UNKNOWN) for n in range(16)]
    history: list[Operation] = [CREATED, *lost, read(4, 5, "a", "no")]
    with pytest.raises(NotLinearizable):
        check(history)
    with pytest.raises(TooHard, match="18 operations"):
        check(history, most_steps=10)
