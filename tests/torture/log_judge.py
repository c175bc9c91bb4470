"""The judge of what is stored: reads the log as it grows, beside everything else, and compares.

Every append is whole or not there at all, acknowledged ones are there with their ids, refused ones
are not. Each follows exactly the version that it named, so versions chain; ids grow; no entity has
a trigger twice; an atomic call is there in all its legs or in none; a refusal had its reason. A
find shows what the log says, behind the newest snapshot.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tests.acceptance.rest_client import Rest
from tests.torture.appender import Appender
from tests.torture.attempts import Attempt, Ledger, Leg, Place, Verdict


class Logged(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An event as the log shows it."""

    position: int
    id: str
    entity_type: str
    entity_id: str
    event_type: str
    event_data: str
    swimlane: int
    triggering_event_token: str | None = None


class _Page(msgspec.Struct, frozen=True):
    events: list[Logged]
    position: int
    head: int


class EntityName(NamedTuple):
    """An entity's type and id."""

    entity_type: str
    entity_id: str


class History:
    """One entity, as far as the log has been read."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.tokens: set[str] = set()
        self.causes: list[str] = []
        #: The attempt that stored the newest snapshot, and how many events there were then.
        self.snapshot: tuple[str, int] | None = None
        #: Events of an append of which not all have been read.
        self.partial: list[tuple[Logged, Place]] = []

    @property
    def version(self) -> str | None:
        """The id of the last event."""
        return self.ids[-1] if self.ids else None


class LogJudge:
    """Raises AssertionError for what must not be; ``hint`` is in each text."""

    def __init__(self, ledger: Ledger, hint: str) -> None:
        self.hint = hint
        self.histories: dict[EntityName, History] = {}
        #: All events in the order of the log.
        self.events: list[Logged] = []
        self._position = 0
        self._ledger = ledger
        self._stored: dict[tuple[str, int], list[str]] = {}
        self._judged: set[str] = set()

    def read(self, rest: Rest) -> None:
        """Read on to the head, and judge all calls that were over when this began."""
        told = self._ledger.all_told()
        while self._read_page(rest):
            pass
        self.judge(told)

    def judge(self, attempts: Iterable[Attempt]) -> None:
        """Judge calls that were over before what has been taken in was read to the head."""
        for name, history in self.histories.items():
            assert not history.partial, f"{self.hint}: {name}: half an append: {history.partial}"
        for attempt in attempts:
            if attempt.name not in self._judged:
                self._judge(attempt)

    def check_finds(self, appender: Appender) -> None:
        """Compare each entity's find with the log, once the entity rests."""
        for name, history in self.histories.items():
            found = appender.find(name.entity_type, name.entity_id)
            after = 0
            assert found is not None
            if history.snapshot is None:
                assert found.snapshot is None, f"{self.hint}: {name}: {found.snapshot}"
            else:
                attempt, after = history.snapshot
                assert found.snapshot is not None, f"{self.hint}: {name}: its snapshot is lost"
                assert found.snapshot["json"] == attempt, f"{self.hint}: {name}: {found.snapshot}"
                assert found.snapshot["entityVersion"] == history.ids[after - 1]
            ids = history.ids[after:]
            assert found.event_ids == ids, (
                f"{self.hint}: {name}: a find shows {found.event_ids}, the log {ids}"
            )
            for token in list(history.tokens)[-2:]:
                again = appender.find(name.entity_type, name.entity_id, token)
                assert again is None, f"{self.hint}: {name}: {token} is taken for new"

    def _read_page(self, rest: Rest) -> bool:
        """Take in a page; False when it reaches the head."""
        answer = rest.http.get(
            f"/v1/spaces/{rest.space}/log", params={"after": self._position, "limit": 2000}
        )
        assert answer.status_code == 200, f"{self.hint}: {answer.status_code} {answer.text}"
        page = msgspec.json.decode(answer.content, type=_Page)
        for event in page.events:
            self.take(event)
        assert page.position >= self._position
        self._position = page.position
        return page.position < page.head

    def take(self, event: Logged) -> None:
        """Take in the next event of the log."""
        assert event.position > self._position, f"{self.hint}: positions do not grow: {event}"
        self._position = event.position
        self.events.append(event)
        name = EntityName(event.entity_type, event.entity_id)
        history = self.histories.setdefault(name, History())
        place = msgspec.json.decode(event.event_data, type=Place)
        partial = history.partial
        first = partial[0][1] if partial else place
        assert (place.attempt, place.leg, place.place) == (
            first.attempt,
            first.leg,
            len(partial),
        ), f"{self.hint}: {name}: half an append: {partial}, then {event}"
        last = partial[-1][0].id if partial else history.version
        assert last is None or event.id > last, f"{self.hint}: {name}: ids do not grow: {event}"
        partial.append((event, place))
        if len(partial) == place.size:
            history.partial = []
            self._take_leg(name, history, partial)

    def _take_leg(
        self, name: EntityName, history: History, events: list[tuple[Logged, Place]]
    ) -> None:
        place = events[0][1]
        attempt = self._ledger.find(place.attempt)
        said = f"{self.hint}: {name}: {place.attempt}"
        assert attempt is not None, f"{said}: is stored, and nobody tried it"
        leg = attempt.legs[place.leg]
        key = (attempt.name, place.leg)
        assert key not in self._stored, f"{said}: is stored twice"
        assert [each for _, each in events] == attempt.places(place.leg), f"{said}: is not as sent"
        assert (leg.entity_type, leg.entity_id or name.entity_id) == name, f"{said}: is elsewhere"
        assert leg.expected == history.version, (
            f"{said}: was decided on {leg.expected} and stored behind {history.version}"
        )
        for event, _ in events:
            assert event.triggering_event_token == leg.token, f"{said}: another trigger: {event}"
        if leg.token is not None:
            assert leg.token not in history.tokens, f"{said}: {leg.token} is applied twice"
            history.tokens.add(leg.token)
        if leg.cause is not None:
            history.causes.append(leg.cause)
        self._stored[key] = [event.id for event, _ in events]
        history.ids += self._stored[key]
        if leg.snapshot:
            history.snapshot = (attempt.name, len(history.ids))
        if attempt.name in self._judged:
            verdict = attempt.outcomes[place.leg].verdict
            assert verdict is not Verdict.REFUSED, f"{said}: was refused, and was stored later"

    def _judge(self, attempt: Attempt) -> None:
        self._judged.add(attempt.name)
        for number, outcome in enumerate(attempt.outcomes):
            leg = attempt.legs[number]
            stored = self._stored.get((attempt.name, number))
            said = f"{self.hint}: {attempt.name}, {leg}: {outcome}"
            if outcome.verdict is Verdict.ACKNOWLEDGED:
                assert stored == list(outcome.event_ids), f"{said}: and {stored} is there"
                assert leg.entity_id in {None, outcome.entity_id}, said
            elif outcome.verdict is Verdict.REFUSED:
                assert stored is None, f"{said}: and {stored} is there"
                reasons = self._reasons(leg, atomic=attempt.atomic)
                assert outcome.code in reasons, f"{said}: there was no reason for that"
        if attempt.atomic:
            there = {(attempt.name, number) in self._stored for number in range(len(attempt.legs))}
            assert len(there) == 1, f"{self.hint}: {attempt.name}: an atomic call is there in part"
            codes = {outcome.code for outcome in attempt.outcomes}
            assert codes != {"conflict"}, f"{self.hint}: {attempt.name}: no leg is to blame"

    def _reasons(self, leg: Leg, *, atomic: bool) -> set[str]:
        """Return the errors that a leg may be refused with.

        Looked at later than they were said: a version that was not current then never is again.
        """
        history = History()
        if leg.entity_id is not None:
            name = EntityName(leg.entity_type, leg.entity_id)
            history = self.histories.get(name, history)
        reasons = {"service_unavailable", "unreachable"}
        if atomic:
            reasons.add("conflict")  # another leg is to blame
        if leg.token in history.tokens:
            reasons.add("duplicate_event")
        if leg.expected != history.version:
            reasons.add("entity_exists" if leg.expected is None else "optimistic_lock_error")
        return reasons
