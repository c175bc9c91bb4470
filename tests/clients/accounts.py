"""Entities for tests to follow: their events, and how far a subscription to them has come."""

import itertools
import json
from urllib.parse import quote

from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.waiting import wait_until

OPENED = Event("net.example.Opened", json.dumps({"owner": "Zoë \U0001f680", "€": '"\\\n'}))
CHANGED = Event("net.example.Changed", '{"by": 5}')

_numbers = itertools.count(1)


class Accounts:
    """Entities of a type that only one test uses."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._type = f"net.example.Account{next(_numbers)}"
        self.selection = {self._type: [OPENED.event_type, CHANGED.event_type]}

    def only(self, event: Event) -> dict[str, list[str]]:
        """Return a selection of one event type."""
        return {self._type: [event.event_type]}

    def open(self, changes: int = 0, opened: Event = OPENED) -> list[str]:
        """Create one, with so many changes; return its events' ids."""
        return self._rest.create(self._type, [opened, *[CHANGED] * changes]).event_ids

    def lag(self, subscriber_id: str) -> int | None:
        """Return how many events are not acknowledged, as the server sees it; None: no such."""
        path = f"/v1/spaces/{self._rest.space}/subscriptions/{quote(subscriber_id, safe='')}"
        status: dict[str, int] = self._rest.http.get(path).json()
        return status.get("lag")

    def wait_for_lag(self, subscriber_id: str, lag: int) -> None:
        """Return when so many events are not acknowledged."""
        wait_until(lambda: self.lag(subscriber_id) == lag, f"{lag} are left")
