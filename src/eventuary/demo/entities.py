"""REST calls with nothing but the standard library: create, update, find."""

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

#: Any credentials will do: the server is this machine's own, and has no keys.
_HEADERS = {"Content-Type": "application/json", "Authorization": "Basic ZGVtbzpkZW1v"}


class Event(NamedTuple):
    """An event, as it is sent."""

    event_type: str
    data: Mapping[str, object]


class StoredEvent(NamedTuple):
    """An event, as it is read back."""

    event_id: str
    event_type: str
    data: str


class Version(NamedTuple):
    """Where an entity stands after an append, and what the append added."""

    entity_id: str
    version: str
    event_ids: list[str]


class Refused(Exception):
    """The server's answer was not 200."""

    def __init__(self, status: int, code: str, explanation: str) -> None:
        super().__init__(f"{status} {code}: {explanation}")
        self.status = status
        self.code = code
        self.explanation = explanation


class Entities:
    """One HTTP connection, kept alive."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def create(self, entity_type: str, events: Sequence[Event]) -> Version:
        """Create an entity. Raises Refused."""
        return self._append(
            "/entity/default", {"entityTypeName": entity_type, "events": _encoded(events)}
        )

    def update(
        self, entity_type: str, entity_id: str, version: str, events: Sequence[Event]
    ) -> Version:
        """Append to the entity, if ``version`` is still its version. Raises Refused."""
        return self._append(
            f"/entity/default/{entity_type}/{entity_id}",
            {"entityVersion": version, "events": _encoded(events)},
        )

    def find(self, entity_type: str, entity_id: str) -> list[StoredEvent]:
        """Return the events of the entity, in order. Raises Refused."""
        answer = self._call("GET", f"/entity/default/{entity_type}/{entity_id}", None)
        return [
            StoredEvent(each["id"], each["eventType"], each["eventData"])
            for each in answer["events"]
        ]

    def _append(self, path: str, body: dict[str, object]) -> Version:
        answer = self._call("POST", path, json.dumps(body))
        return Version(answer["entityId"], answer["entityVersion"], answer["eventIds"])

    def _call(self, method: str, path: str, body: str | None) -> Any:
        self._connection.request(method, path, body, _HEADERS)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        if response.status != http.client.OK:
            raise Refused(response.status, answer["error"], answer["explanation"])
        return answer


def _encoded(events: Sequence[Event]) -> list[dict[str, str]]:
    return [{"eventType": each.event_type, "eventData": json.dumps(each.data)} for each in events]
