"""A service that reacts: for each event of an account it appends one to the account's mirror.

The append carries the event's token, as the framework's does. So whatever comes twice, whoever
is killed in between: in the end a mirror has one event for each, in the order of the account.
"""

import httpx

from tests.acceptance.stomp_client import Body
from tests.torture.appender import Appender
from tests.torture.attempts import ACCOUNT, MARKED, Ledger, Leg, Verdict
from tests.torture.log_judge import EntityName, LogJudge

#: The entity type of mirrors.
MIRROR = "torture.Mirror"

#: Refusals after which it is no use to go on at once.
_AWAY = {"service_unavailable", "unreachable"}


class Mirror:
    """One worker. ``react`` is what it does with an event."""

    def __init__(self, url: str, name: str, ledger: Ledger) -> None:
        self._appender = Appender(url, name, ledger)

    def react(self, event: Body) -> bool:
        """Append to the mirror, unless that was done; False when the store can't now."""
        entity_id = f"mirror-{event.entity_id}"
        while True:
            try:
                found = self._appender.find(MIRROR, entity_id, event.event_token)
            except httpx.TransportError:
                return False
            if found is None:
                return True
            outcome = self._appender.append(
                Leg(
                    entity_type=MIRROR,
                    entity_id=entity_id,
                    expected=found.version,
                    token=event.event_token,
                    cause=event.id,
                )
            )
            if outcome.verdict is Verdict.UNKNOWN or outcome.code in _AWAY:
                return False
            if outcome.verdict is Verdict.ACKNOWLEDGED or outcome.code == "duplicate_event":
                return True
            # Another worker was faster: look again.

    def close(self) -> None:
        """Close the connection."""
        self._appender.close()


def check_mirrors(judge: LogJudge) -> None:
    """Each mirror has exactly one event for each marked event of its account, in its order."""
    marked: dict[str, list[str]] = {}
    for event in judge.events:
        if (event.entity_type, event.event_type) == (ACCOUNT, MARKED):
            marked.setdefault(event.entity_id, []).append(event.id)
    for entity_id, ids in marked.items():
        mirror = judge.histories.get(EntityName(MIRROR, f"mirror-{entity_id}"))
        assert mirror is not None, f"{judge.hint}: {entity_id} has no mirror"
        assert mirror.causes == ids, (
            f"{judge.hint}: {entity_id}: {len(ids)} events, {len(mirror.causes)} in its mirror"
        )
