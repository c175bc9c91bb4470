"""Makes attempts over REST and /v1, and notes what it is told; any other answer is a failure."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import msgspec

from tests.acceptance.rest_client import Rest, is_in_doubt
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

#: What a snapshot of these tests is of.
SNAPSHOT_TYPE = "torture.State"

#: The errors that contention, draining and full disks lead to.
_EXPECTED = {409, 503}


class Found(msgspec.Struct, frozen=True):
    """An entity as a find shows it: its version, None if there is no such entity."""

    version: str | None
    event_ids: Sequence[str] = ()
    snapshot: Mapping[str, str] | None = None


class Appender:
    """One connection's worth of appends, and the finds between them."""

    def __init__(self, url: str, name: str, ledger: Ledger) -> None:
        self.ledger = ledger
        self._name = name
        self._rest = Rest(url)

    def close(self) -> None:
        """Close the connection."""
        self._rest.http.close()

    def append(self, leg: Leg) -> Outcome:
        """Append to one entity, as clients do who know create and update alone."""
        attempt = self.ledger.attempt(self._name, [leg])
        body: dict[str, Any] = {"events": _events(attempt, 0)}
        if leg.token is not None:
            body["triggeringEventToken"] = leg.token
        if leg.expected is None:
            path = f"/entity/{self._rest.space}"
            body["entityTypeName"] = leg.entity_type
            if leg.entity_id is not None:
                body["entityId"] = leg.entity_id
        else:
            assert leg.entity_id is not None
            path = self._rest.path(leg.entity_type, leg.entity_id)
            body["entityVersion"] = leg.expected
            if leg.snapshot:
                body["snapshot"] = _snapshot(attempt)
        answer = self._post(path, body)
        if isinstance(answer, Outcome):
            outcome = answer
        elif answer.status_code == 200:
            outcome = _acknowledged(answer.json())
        else:
            outcome = _refused(answer.json())
        self.ledger.told(attempt, [outcome])
        return outcome

    def append_several(self, legs: Sequence[Leg], *, atomic: bool) -> Sequence[Outcome]:
        """Append to several entities in one call."""
        attempt = self.ledger.attempt(self._name, legs, atomic=atomic)
        appends = [_append(attempt, number) for number in range(len(legs))]
        answer = self._post(
            f"/v1/spaces/{self._rest.space}/appends", {"appends": appends, "atomic": atomic}
        )
        if isinstance(answer, Outcome):
            outcomes = [answer] * len(legs)
        elif answer.status_code == 503:
            outcomes = [_refused(answer.json())] * len(legs)
        else:
            outcomes = [
                _refused(each) if "error" in each else _acknowledged(each)
                for each in answer.json()["outcomes"]
            ]
            assert len(outcomes) == len(legs)
        self.ledger.told(attempt, outcomes)
        return outcomes

    def find(self, entity_type: str, entity_id: str, token: str | None = None) -> Found | None:
        """Load an entity; None when ``token`` was applied to it already.

        Raises httpx.TransportError, also when the server says that it can't now.
        """
        answer = self._rest.http.get(
            self._rest.path(entity_type, entity_id),
            params={} if token is None else {"triggeringEventToken": token},
        )
        if answer.status_code == 503:
            raise httpx.TransportError(answer.text)
        if answer.status_code == 409 and token is not None:
            assert answer.json()["error"] == "duplicate_event", answer.text
            return None
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        body = answer.json()
        ids = [event["id"] for event in body["events"]]
        snapshot = body.get("snapshot")
        version = ids[-1] if ids else None if snapshot is None else snapshot["entityVersion"]
        return Found(version, ids, snapshot)

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response | Outcome:
        """Return the answer; or the outcome when none came."""
        try:
            answer = self._rest.http.post(path, json=body)
        except httpx.ConnectError:
            return UNREACHABLE
        except httpx.TransportError:
            return UNKNOWN
        assert answer.status_code == 200 or answer.status_code in _EXPECTED, (
            f"{path}: {answer.status_code} {answer.text}"
        )
        return answer


def _append(attempt: Attempt, number: int) -> dict[str, Any]:
    leg = attempt.legs[number]
    append: dict[str, Any] = {
        "entityTypeName": leg.entity_type,
        "events": _events(attempt, number),
    }
    if leg.entity_id is not None:
        append["entityId"] = leg.entity_id
    if leg.expected is not None:
        append["entityVersion"] = leg.expected
    if leg.token is not None:
        append["triggeringEventToken"] = leg.token
    if leg.snapshot:
        append["snapshot"] = _snapshot(attempt)
    return append


def _events(attempt: Attempt, number: int) -> list[dict[str, str]]:
    is_account = attempt.legs[number].entity_type == ACCOUNT
    return [
        {
            "eventType": MARKED if is_account and each.place == 0 else CHANGED,
            "eventData": msgspec.json.encode(each).decode(),
        }
        for each in attempt.places(number)
    ]


def _snapshot(attempt: Attempt) -> dict[str, str]:
    return {"snapshotType": SNAPSHOT_TYPE, "json": attempt.name}


def _refused(answer: Mapping[str, Any]) -> Outcome:
    """Read an error, of a call or of one of its legs: it may say that nobody knows."""
    if answer["error"] == "service_unavailable" and is_in_doubt(answer["explanation"]):
        return UNKNOWN
    return Outcome(Verdict.REFUSED, code=answer["error"])


def _acknowledged(answer: Mapping[str, Any]) -> Outcome:
    assert answer["entityVersion"] == answer["eventIds"][-1], answer
    return Outcome(Verdict.ACKNOWLEDGED, answer["entityId"], tuple(answer["eventIds"]))
