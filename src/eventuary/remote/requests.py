"""Calls of the event store as the bytes of HTTP requests (protocol.md, section 2; /v1)."""

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

import msgspec

from eventuary.events import Append, NewEvent, NewSnapshot
from eventuary.remote.address import ServerAddress


class _Creation(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    entity_type_name: str
    entity_id: str
    events: Sequence[NewEvent]
    triggering_event_token: str | None = None


class _Update(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    entity_version: str
    events: Sequence[NewEvent]
    triggering_event_token: str | None = None
    snapshot: NewSnapshot | None = None


class _StoredSnapshot(msgspec.Struct, rename="camel", gc=False):
    entity_version: str
    snapshot_type: str
    json: str


_encode = msgspec.json.Encoder().encode

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")


class Requests:
    """Everything that is said to one server, with one key."""

    def __init__(self, address: ServerAddress) -> None:
        lines = [f"Host: {address.authority}", "Accept: application/json"]
        if address.authorization is not None:
            lines.append(f"Authorization: {address.authorization}")
        self._headers = "".join(line + "\r\n" for line in lines).encode()

    def create(self, append: Append, entity_id: str) -> bytes:
        """Create the entity ``entity_id``."""
        body = _Creation(
            append.entity_type, entity_id, append.events, append.triggering_event_token
        )
        return self._send(b"POST", f"/entity/{_segment(append.space)}", _encode(body))

    def append(self, append: Append, entity_id: str, entity_version: str) -> bytes:
        """Append to an entity."""
        body = _Update(
            entity_version, append.events, append.triggering_event_token, append.snapshot
        )
        target = _entity(append.space, append.entity_type, entity_id)
        return self._send(b"POST", target, _encode(body))

    def load(
        self, space: str, entity_type: str, entity_id: str, triggering_event_token: str | None
    ) -> bytes:
        """Read an entity."""
        target = _entity(space, entity_type, entity_id)
        if triggering_event_token is not None:
            target += "?triggeringEventToken=" + quote(triggering_event_token, safe="")
        return self._get(target)

    def history(self, space: str, entity_type: str, entity_id: str, after: str | None) -> bytes:
        """Read an entity's events, whatever snapshot there is."""
        target = _v1_entity(space, entity_type, entity_id) + "/events"
        return self._get(target if after is None else f"{target}?after={after}")

    def store_snapshot(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        snapshot: NewSnapshot,
    ) -> bytes:
        """Keep a state."""
        body = _StoredSnapshot(entity_version, snapshot.snapshot_type, snapshot.json)
        target = _v1_entity(space, entity_type, entity_id) + "/snapshot"
        return self._send(b"PUT", target, _encode(body))

    def caught_up(self, space: str, subscriber_id: str, wait: float) -> bytes:
        """Ask, for at most ``wait`` seconds, whether a subscription has caught up."""
        return self._get(f"{_subscription(space, subscriber_id)}/caught-up?wait={wait:g}")

    def inspect(self, space: str, subscriber_id: str) -> bytes:
        """Ask where a subscription stands."""
        return self._get(_subscription(space, subscriber_id))

    def delete_subscription(self, space: str, subscriber_id: str) -> bytes:
        """Forget a subscription."""
        target = _subscription(space, subscriber_id)
        return b"DELETE %b HTTP/1.1\r\n%b\r\n" % (target.encode(), self._headers)

    def _send(self, method: bytes, target: str, body: bytes) -> bytes:
        return (
            b"%b %b HTTP/1.1\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (method, target.encode(), self._headers, len(body), body)
        )

    def _get(self, target: str) -> bytes:
        return b"GET %b HTTP/1.1\r\n%b\r\n" % (target.encode(), self._headers)


def _entity(space: str, entity_type: str, entity_id: str) -> str:
    return f"/entity/{_segment(space)}/{_segment(entity_type)}/{_quoted(entity_id)}"


def _v1_entity(space: str, entity_type: str, entity_id: str) -> str:
    return f"/v1/spaces/{_segment(space)}/entities/{_segment(entity_type)}/{_quoted(entity_id)}"


def _subscription(space: str, subscriber_id: str) -> str:
    return f"/v1/spaces/{_segment(space)}/subscriptions/{_segment(subscriber_id)}"


@lru_cache(maxsize=1024)
def _segment(name: str) -> str:
    """Return a name that recurs, of a space or a type, as a path segment."""
    return quote(name, safe="")


def _quoted(entity_id: str) -> str:
    return entity_id if _PLAIN.fullmatch(entity_id) else quote(entity_id, safe="")
