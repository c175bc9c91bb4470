"""The judges of torture are judged, in the ordinary suite: each finds what it is there to find."""

from collections.abc import Sequence

import httpx
import msgspec
import pytest

from tests.acceptance.stomp_client import Body
from tests.torture.appender import Appender
from tests.torture.attempts import (
    ACCOUNT,
    CHANGED,
    MARKED,
    UNKNOWN,
    UNREACHABLE,
    Attempt,
    Ledger,
    Leg,
    Outcome,
    Verdict,
)
from tests.torture.log_judge import Logged, LogJudge
from tests.torture.mirror import MIRROR, check_mirrors
from tests.torture.subscriber import Subscriber


class Story:
    """What was tried and told, and the log that is said to be there; ids are positions."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.judge = LogJudge(self.ledger, "")
        self._position = 0

    def attempt(self, *legs: Leg, atomic: bool = False) -> Attempt:
        """Note an attempt."""
        return self.ledger.attempt("w", legs, atomic=atomic)

    def log(
        self, attempt: Attempt, leg: int = 0, *, places: Sequence[int] | None = None
    ) -> list[str]:
        """Let a leg's events, or some of them, be in the log; return their ids."""
        wanted = attempt.legs[leg]
        ids = []
        for place in attempt.places(leg):
            if places is None or place.place in places:
                self._position += 1
                ids.append(f"{self._position:03}")
                self.judge.take(
                    Logged(
                        position=self._position,
                        id=ids[-1],
                        entity_type=wanted.entity_type,
                        entity_id=wanted.entity_id or "chosen",
                        event_type=CHANGED if place.place else MARKED,
                        event_data=msgspec.json.encode(place).decode(),
                        swimlane=0,
                        triggering_event_token=wanted.token,
                    )
                )
        return ids

    def told(self, attempt: Attempt, *outcomes: Outcome) -> None:
        """Note the answer, and judge."""
        self.ledger.told(attempt, outcomes)
        self.judge.judge(self.ledger.all_told())

    def append(self, leg: Leg) -> list[str]:
        """Let an append go well."""
        attempt = self.attempt(leg)
        ids = self.log(attempt)
        assert leg.entity_id is not None
        self.told(attempt, _acknowledged(ids, leg.entity_id))
        return ids


def _acknowledged(ids: Sequence[str], entity_id: str = "a") -> Outcome:
    return Outcome(Verdict.ACKNOWLEDGED, entity_id, ids)


def _refused(code: str) -> Outcome:
    return Outcome(Verdict.REFUSED, code=code)


def _leg(expected: str | None = None, *, size: int = 1, token: str | None = None) -> Leg:
    return Leg(entity_id="a", expected=expected, size=size, token=token)


def test_what_goes_well_passes() -> None:
    story = Story()
    first = story.append(_leg(size=3))
    story.append(_leg(first[-1], size=2, token="t"))
    unanswered = story.attempt(_leg("005"))
    story.told(unanswered, UNKNOWN)
    story.log(unanswered)  # later: it was on its way
    story.told(story.attempt(_leg()), _refused("entity_exists"))
    story.told(story.attempt(_leg("005")), _refused("optimistic_lock_error"))
    story.told(story.attempt(_leg("006", token="t")), _refused("duplicate_event"))
    story.told(story.attempt(_leg("006")), UNREACHABLE)


def test_a_loss_is_found() -> None:
    story = Story()
    with pytest.raises(AssertionError, match="is there"):
        story.told(story.attempt(_leg()), _acknowledged(["001"]))


def test_other_ids_are_found() -> None:
    story = Story()
    attempt = story.attempt(_leg(size=2))
    story.log(attempt)
    with pytest.raises(AssertionError, match="is there"):
        story.told(attempt, _acknowledged(["001", "003"]))


@pytest.mark.parametrize("places", [(0,), (0, 1), (1, 2), (2,), (0, 2)])
def test_half_an_append_is_found(places: Sequence[int]) -> None:
    story = Story()
    attempt = story.attempt(_leg(size=3))
    with pytest.raises(AssertionError, match="half an append"):
        _read_and_judge(story, attempt, places)


def _read_and_judge(story: Story, attempt: Attempt, places: Sequence[int]) -> None:
    story.log(attempt, places=places)
    story.told(attempt, UNKNOWN)


def test_what_comes_twice_is_found() -> None:
    story = Story()
    attempt = story.attempt(_leg())
    story.log(attempt)
    with pytest.raises(AssertionError, match="stored twice"):
        story.log(attempt)


def test_what_was_refused_and_is_there_is_found() -> None:
    story = Story()
    attempt = story.attempt(_leg())
    story.log(attempt)
    with pytest.raises(AssertionError, match="is there"):
        story.told(attempt, _refused("service_unavailable"))
    later = Story()
    attempt = later.attempt(_leg())
    later.told(attempt, _refused("service_unavailable"))
    with pytest.raises(AssertionError, match="stored later"):
        later.log(attempt)


def test_what_follows_another_version_is_found() -> None:
    story = Story()
    story.append(_leg())
    with pytest.raises(AssertionError, match="was decided on"):
        story.log(story.attempt(_leg("000")))
    with pytest.raises(AssertionError, match="was decided on"):
        story.log(story.attempt(_leg()))


def test_a_trigger_that_is_applied_twice_is_found() -> None:
    story = Story()
    ids = story.append(_leg(token="t"))
    with pytest.raises(AssertionError, match="applied twice"):
        story.log(story.attempt(_leg(ids[-1], token="t")))


def test_an_atomic_call_in_part_is_found() -> None:
    story = Story()
    attempt = story.attempt(_leg(), Leg(entity_id="b", expected=None), atomic=True)
    story.log(attempt, 1)
    with pytest.raises(AssertionError, match="there in part"):
        story.told(attempt, UNKNOWN, UNKNOWN)


@pytest.mark.parametrize(
    ("leg", "code"),
    [
        (Leg(entity_id="b", expected=None), "entity_exists"),
        (_leg("001"), "optimistic_lock_error"),
        (_leg("001", token="t"), "duplicate_event"),
        (_leg("001"), "conflict"),
        (_leg("001"), "not_found"),
    ],
)
def test_a_refusal_without_reason_is_found(leg: Leg, code: str) -> None:
    story = Story()
    story.append(_leg())
    with pytest.raises(AssertionError, match="no reason"):
        story.told(story.attempt(leg), _refused(code))


def _subscriber() -> Subscriber:
    return Subscriber(0, "s", (ACCOUNT, (MARKED,)), "seed")


def _body(event_id: str) -> Body:
    return Body(event_id, "a", ACCOUNT, MARKED, "{}", "token", 0, int(event_id))


def test_positions_beyond_what_was_acknowledged_are_found() -> None:
    story, subscriber = Story(), _subscriber()
    first = story.append(_leg(size=2))
    second = story.append(_leg(first[-1]))
    subscriber.check_position(0, 0, story.judge)
    subscriber.journal.acknowledging(_body(first[0]))
    subscriber.check_position(0, 2, story.judge)  # 2 is of a type that it has not selected
    with pytest.raises(AssertionError, match=f"event_id='{second[0]}'"):
        subscriber.check_position(0, 3, story.judge)


def test_gaps_and_disorder_in_deliveries_are_found() -> None:
    story, subscriber = Story(), _subscriber()
    first = story.append(_leg())
    second = story.append(_leg(first[-1]))
    assert len(subscriber.missing(story.judge)) == 2
    subscriber.journal.delivered(_body(second[0]))
    with pytest.raises(AssertionError, match="came after event -1"):
        subscriber.check_order(story.judge)


def test_mirrors_that_miss_something_are_found() -> None:
    story = Story()
    first = story.append(_leg())
    second = story.append(_leg(first[-1]))
    version = None
    for cause in (*first, *second):
        with pytest.raises(AssertionError, match="mirror"):
            check_mirrors(story.judge)
        leg = Leg(entity_type=MIRROR, entity_id="mirror-a", expected=version, cause=cause)
        version = story.append(leg)[-1]
    check_mirrors(story.judge)


_NOTHING = "storage: no node can be reached; nothing was written"
_NOT_KNOWN = "storage: no answer in time; it is not known whether this was written"


@pytest.mark.parametrize(
    ("explanation", "verdict"), [(_NOTHING, Verdict.REFUSED), (_NOT_KNOWN, Verdict.UNKNOWN)]
)
@pytest.mark.parametrize("status", [503, 200])
def test_what_an_answer_leaves_open_is_unknown(
    explanation: str, verdict: Verdict, status: int
) -> None:
    """Of a call as a whole, and of one of its legs."""
    error = {"error": "service_unavailable", "explanation": explanation}
    done = {"entityId": "b", "entityVersion": "1", "eventIds": ["1"]}
    body = error if status == 503 else {"outcomes": [error, done]}
    appender = Appender("http://nobody", "w", Ledger())
    appender._rest.http = httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(status, json=body)),
        base_url="http://nobody",
    )
    legs = [Leg(entity_id=each, expected=None) for each in "ab"]
    verdicts = [each.verdict for each in appender.append_several(legs, atomic=False)]
    assert verdicts == [verdict, verdict if status == 503 else Verdict.ACKNOWLEDGED]
    if status == 503:
        assert appender.append(legs[0]).verdict is verdict
