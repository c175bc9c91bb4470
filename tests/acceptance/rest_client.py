"""REST as a plain client uses it, over httpx; answers are decoded strictly."""

import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

#: Seconds within which an answer comes.
PATIENCE = 20.0


class Created(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The answer of a create or an update."""

    entity_id: str
    entity_version: str
    event_ids: list[str]


class Stored(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """An event as a find shows it."""

    id: str
    event_type: str
    event_data: str
    metadata: str | None = None


class Event(NamedTuple):
    """An event to be stored."""

    event_type: str
    event_data: str = "{}"


class Refused(Exception):
    """Any answer but 200."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.status_code} {answer.text}")
        self.status = answer.status_code
        self.body: dict[str, str] = answer.json()

    @property
    def code(self) -> str:
        """The body's ``error``."""
        assert self.body["explanation"]
        return self.body["error"]


def is_in_doubt(explanation: str) -> bool:
    """Whether an answer of 503 leaves open what has been stored: otherwise nothing has.

    Storage that several servers share may be given something, and not tell in time what became of
    it.
    """
    return "not known" in explanation or "may have been" in explanation


class Rest:
    """Calls as one key."""

    def __init__(
        self,
        url: str,
        *,
        space: str = "default",
        key: tuple[str, str] = ("id", "secret"),
        certificates: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.space = space
        self.http = httpx.Client(
            base_url=url,
            auth=key,
            timeout=patience,
            trust_env=False,
            verify=True if certificates is None else _trusting(certificates),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.http.close()

    def create(
        self, entity_type: str, events: Sequence[Event], *, entity_id: str | None = None
    ) -> Created:
        """Create an entity. Raises Refused."""
        body: dict[str, object] = {"entityTypeName": entity_type, "events": _encoded(events)}
        if entity_id is not None:
            body["entityId"] = entity_id
        return _decoded(self.http.post(f"/entity/{self.space}", json=body), Created)

    def update(
        self,
        entity_type: str,
        entity_id: str,
        version: str,
        events: Sequence[Event],
        *,
        token: str | None = None,
    ) -> Created:
        """Append to an entity. Raises Refused."""
        body: dict[str, object] = {"entityVersion": version, "events": _encoded(events)}
        if token is not None:
            body["triggeringEventToken"] = token
        return _decoded(self.http.post(self.path(entity_type, entity_id), json=body), Created)

    def find(self, entity_type: str, entity_id: str) -> list[Stored]:
        """Return an entity's events. Raises Refused."""
        answer = self.http.get(self.path(entity_type, entity_id))
        return _decoded(answer, dict[str, list[Stored]])["events"]

    def path(self, entity_type: str, entity_id: str) -> str:
        """Return the path of an entity."""
        return f"/entity/{self.space}/{quote(entity_type, safe='')}/{quote(entity_id, safe='')}"


def _trusting(certificates: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates)


def _encoded(events: Sequence[Event]) -> list[dict[str, str]]:
    return [{"eventType": each.event_type, "eventData": each.event_data} for each in events]


_Kind = TypeVar("_Kind")


def _decoded(answer: httpx.Response, kind: type[_Kind]) -> _Kind:
    if answer.status_code != 200:
        raise Refused(answer)
    assert answer.headers["content-type"].startswith("application/json")
    return msgspec.json.decode(answer.content, type=kind)
