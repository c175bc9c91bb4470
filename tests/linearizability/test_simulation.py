"""Random histories that are right are all accepted; with one lie in them they are all refused."""

from random import Random

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.linearizability.checking import NotLinearizable, check
from tests.linearizability.operations import Answer, Operation, Read, Write
from tests.linearizability.simulation import Simulation

HISTORIES = st.builds(
    lambda chance, clients, steps, lost: Simulation(chance, clients, steps, lost).history,
    st.randoms(use_true_random=False),
    st.integers(1, 5),
    st.integers(10, 150),
    st.sampled_from((0.0, 0.1, 0.5)),
)
CHANCES = st.randoms(use_true_random=False)


def refused(history: list[Operation]) -> None:
    with pytest.raises(NotLinearizable):
        check(history)


def some_read(history: list[Operation], chance: Random, fewest: int) -> tuple[int, tuple[str, ...]]:
    """Return the place of a read of so many events at least, and their tags."""
    found = [
        (place, each.tags)
        for place, each in enumerate(history)
        if isinstance(each, Read) and each.tags is not None and len(each.tags) >= fewest
    ]
    assume(found)
    return chance.choice(found)


def with_tags(history: list[Operation], place: int, tags: tuple[str, ...]) -> list[Operation]:
    changed = msgspec.structs.replace(history[place], tags=tags or None)
    return [*history[:place], changed, *history[place + 1 :]]


@given(HISTORIES)
def test_what_was_atomic_is_accepted(history: list[Operation]) -> None:
    check(history)


@given(HISTORIES, CHANCES)
def test_a_last_read_without_an_append_that_was_acknowledged_is_refused(
    history: list[Operation], chance: Random
) -> None:
    last = history[-1]
    done = [each for each in history if isinstance(each, Write) and each.answer is Answer.DONE]
    assume(done)
    lost = chance.choice(done).tags
    assert last.tags is not None
    place = last.tags.index(lost[0])
    refused(with_tags(history, len(history) - 1, last.tags[:place]))
    refused(
        with_tags(history, len(history) - 1, last.tags[:place] + last.tags[place + len(lost) :])
    )


@given(HISTORIES, CHANCES)
def test_a_read_of_two_events_the_other_way_round_is_refused(
    history: list[Operation], chance: Random
) -> None:
    place, tags = some_read(history, chance, 2)
    at = chance.randrange(len(tags) - 1)
    refused(with_tags(history, place, (*tags[:at], tags[at + 1], tags[at], *tags[at + 2 :])))


@given(HISTORIES, CHANCES)
def test_a_read_of_an_event_that_nobody_wrote_is_refused(
    history: list[Operation], chance: Random
) -> None:
    place, tags = some_read(history, chance, 1)
    at = chance.randrange(len(tags) + 1)
    refused(with_tags(history, place, (*tags[:at], "nobody's", *tags[at:])))


@given(HISTORIES, CHANCES)
def test_an_append_that_was_refused_and_is_there_is_refused(
    history: list[Operation], chance: Random
) -> None:
    stored = history[-1].tags or ()
    places = [
        place
        for place, each in enumerate(history)
        if isinstance(each, Write) and each.answer is Answer.DONE and each.tags[0] in stored
    ]
    assume(places)
    place = chance.choice(places)
    write = history[place]
    assert isinstance(write, Write)
    refusal = Answer.EXISTS if write.expected is None else Answer.CONFLICT
    lie = msgspec.structs.replace(write, answer=refusal)
    refused([*history[:place], lie, *history[place + 1 :]])


@given(HISTORIES)
def test_a_second_append_that_was_acknowledged_to_one_version_is_refused(
    history: list[Operation],
) -> None:
    done = [each for each in history if isinstance(each, Write) and each.answer is Answer.DONE]
    assume(done)
    refused([*history, msgspec.structs.replace(done[0], tags=("second",))])
