"""What the tests of these routes send again and again."""

from typing import Any

import httpx

from eventuary.events import NewEvent


def event(number: int = 0, event_type: str = "Created") -> dict[str, str]:
    return {"eventType": event_type, "eventData": f'{{"number":{number}}}'}


def new_event(number: int = 0, event_type: str = "Created") -> NewEvent:
    return NewEvent(event_type, f'{{"number":{number}}}')


def creation(
    entity_id: str | None = None, *, entity_type: str = "Order", number: int = 0
) -> dict[str, Any]:
    append: dict[str, Any] = {"entityTypeName": entity_type, "events": [event(number)]}
    if entity_id is not None:
        append["entityId"] = entity_id
    return append


async def append_all(
    client: httpx.AsyncClient,
    *appends: dict[str, Any],
    space: str = "default",
    atomic: bool | None = None,
) -> httpx.Response:
    body: dict[str, Any] = {"appends": appends}
    if atomic is not None:
        body["atomic"] = atomic
    return await client.post(f"/v1/spaces/{space}/appends", json=body)


async def log(client: httpx.AsyncClient, space: str = "default", **query: Any) -> dict[str, Any]:
    answer = await client.get(f"/v1/spaces/{space}/log", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def numbers(page: dict[str, Any]) -> list[str]:
    return [each["eventData"] for each in page["events"]]


def refused(answer: httpx.Response, status: int, error: str) -> str:
    """Check the shape of a failure; return its explanation."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error", "explanation"}
    assert body["error"] == error
    explanation: str = body["explanation"]
    assert explanation
    assert "Traceback" not in explanation
    return explanation
