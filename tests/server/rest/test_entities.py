"""Create, update, find (protocol.md, section 2); answers against the clients' schemas."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
import pytest

from tests.server.rest.conftest import HttpSide

SCHEMAS = Path(__file__).parents[2] / "schemas" / "rest"

ORDER = "/entity/default/orders.Order"


def conforms(answer: httpx.Response, schema: str) -> Any:
    """The answer is a success and what the clients' schema allows; returns it."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    decoded = answer.json()
    jsonschema.validate(decoded, json.loads((SCHEMAS / f"{schema}.json").read_text("utf-8")))
    return decoded


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The answer is this error; returns its explanation."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    decoded = answer.json()
    assert set(decoded) == {"error", "explanation"}
    assert decoded["error"] == code
    if status == 409:
        schema = json.loads((SCHEMAS / "error-response.json").read_text("utf-8"))
        jsonschema.validate(decoded, schema)
    return str(decoded["explanation"])


def events(*names: str) -> list[dict[str, str]]:
    return [{"eventType": name, "eventData": f'{{"of": "{name}"}}'} for name in names]


def creating(*names: str, **more: object) -> dict[str, object]:
    return {"entityTypeName": "orders.Order", "events": events(*names), **more}


@pytest.fixture
async def client(http: HttpSide) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http.port}", timeout=30) as opened:
        yield opened


async def test_create_then_find(client: httpx.AsyncClient) -> None:
    created = conforms(
        await client.post("/entity/default", json=creating("Created", "Priced")), "create-response"
    )
    assert created["entityVersion"] == created["eventIds"][-1]
    assert created["eventIds"] == sorted(set(created["eventIds"]))
    found = conforms(await client.get(f"{ORDER}/{created['entityId']}"), "get-response")
    assert found == {
        "events": [
            {"id": event_id, **event}
            for event_id, event in zip(
                created["eventIds"], events("Created", "Priced"), strict=True
            )
        ]
    }


async def test_several_hundred_events_in_one_creation(client: httpx.AsyncClient) -> None:
    names = [f"E{number}" for number in range(700)]
    created = conforms(
        await client.post("/entity/default", json=creating(*names)), "create-response"
    )
    found = conforms(await client.get(f"{ORDER}/{created['entityId']}"), "get-response")
    assert [event["eventType"] for event in found["events"]] == names


async def test_update_appends_to_the_version_that_was_read(client: httpx.AsyncClient) -> None:
    created = (await client.post("/entity/default", json=creating("Created"))).json()
    at = f"{ORDER}/{created['entityId']}"
    update = {"entityVersion": created["entityVersion"], "events": events("Approved")}
    updated = conforms(await client.post(at, json=update), "update-response")
    assert updated["entityId"] == created["entityId"]
    assert updated["entityVersion"] > created["entityVersion"]
    text = refused(await client.post(at, json=update), 409, "optimistic_lock_error")
    assert created["entityVersion"] in text
    found = (await client.get(at)).json()
    assert [event["eventType"] for event in found["events"]] == ["Created", "Approved"]


async def test_a_version_may_be_written_short(client: httpx.AsyncClient) -> None:
    created = (await client.post("/entity/default", json=creating("Created"))).json()
    high, low = created["entityVersion"].split("-")
    short = f"{high.lstrip('0').upper()}-{low.lstrip('0')}"
    conforms(
        await client.post(
            f"{ORDER}/{created['entityId']}",
            json={"entityVersion": short, "events": events("Approved")},
        ),
        "update-response",
    )


async def test_an_update_may_repeat_the_id_and_hold_unknown_fields(
    client: httpx.AsyncClient,
) -> None:
    created = (await client.post("/entity/default", json=creating("Created"))).json()
    update = {
        "entityId": "ignored",
        "entityVersion": created["entityVersion"],
        "events": [{"eventType": "A", "eventData": "{}", "swimlane": 3, "more": {"x": [1]}}],
        "whatever": None,
    }
    answer = await client.post(f"{ORDER}/{created['entityId']}", json=update)
    conforms(answer, "update-response")


async def test_fields_that_may_be_missing_may_be_null(client: httpx.AsyncClient) -> None:
    body = {
        "entityTypeName": "orders.Order",
        "entityId": None,
        "triggeringEventToken": None,
        "events": [{"eventType": "A", "eventData": "{}", "metadata": None}],
    }
    created = conforms(await client.post("/entity/default", json=body), "create-response")
    found = conforms(await client.get(f"{ORDER}/{created['entityId']}"), "get-response")
    assert "metadata" not in found["events"][0]


async def test_metadata_is_shown_where_it_was_stored(client: httpx.AsyncClient) -> None:
    body = creating()
    body["events"] = [
        {"eventType": "A", "eventData": "{}", "metadata": '{"who": "me"}'},
        {"eventType": "B", "eventData": "{}"},
    ]
    created = (await client.post("/entity/default", json=body)).json()
    found = (await client.get(f"{ORDER}/{created['entityId']}")).json()
    assert [event.get("metadata") for event in found["events"]] == ['{"who": "me"}', None]
    assert "metadata" not in found["events"][1]


async def test_a_snapshot_hides_the_events_before_it(client: httpx.AsyncClient) -> None:
    created = (await client.post("/entity/default", json=creating("Created"))).json()
    at = f"{ORDER}/{created['entityId']}"
    snapshot = {"snapshotType": "OrderState", "json": '{"state": "APPROVED"}'}
    update = {
        "entityVersion": created["entityVersion"],
        "events": events("Approved"),
        "snapshot": snapshot,
    }
    approved = conforms(await client.post(at, json=update), "update-response")
    found = conforms(await client.get(at), "get-response")
    assert found == {
        "events": [],
        "snapshot": {**snapshot, "entityVersion": approved["entityVersion"]},
    }
    later = {"entityVersion": approved["entityVersion"], "events": events("Shipped")}
    await client.post(at, json=later)
    found = conforms(await client.get(at), "get-response")
    assert [event["eventType"] for event in found["events"]] == ["Shipped"]


async def test_what_does_not_exist_has_no_events(client: httpx.AsyncClient) -> None:
    assert conforms(await client.get(f"{ORDER}/none"), "get-response") == {"events": []}


async def test_an_update_of_what_does_not_exist(client: httpx.AsyncClient) -> None:
    update = {"entityVersion": "1-2", "events": events("Approved")}
    refused(await client.post(f"{ORDER}/none", json=update), 404, "not_found")


async def test_an_id_of_the_clients_own(client: httpx.AsyncClient) -> None:
    for entity_id in ("1-2", "Größe 7", "a%b+c?d#e", "x" * 255):
        body = creating("Created", entityId=entity_id)
        created = conforms(await client.post("/entity/default", json=body), "create-response")
        assert created["entityId"] == entity_id
        refused(await client.post("/entity/default", json=body), 409, "entity_exists")
        found = conforms(await client.get(f"{ORDER}/{quote(entity_id, safe='')}"), "get-response")
        assert len(found["events"]) == 1, entity_id


@pytest.mark.parametrize(
    ("entity_type", "in_the_path"),
    [
        ("net.x.Order", "net.x.Order"),
        ("net/x/Order", "net/x/Order"),
        ("net/x/Order", "net%2Fx%2FOrder"),
        ("a b+c", "a%20b+c"),
        ("Größe", "Gr%C3%B6%C3%9Fe"),
    ],
)
async def test_an_entity_type_reaches_the_path_encoded_or_raw(
    client: httpx.AsyncClient, entity_type: str, in_the_path: str
) -> None:
    body = {"entityTypeName": entity_type, "events": events("A"), "entityId": "one"}
    conforms(await client.post("/entity/default", json=body), "create-response")
    answer = await client.get(f"/entity/default/{in_the_path}/one")
    assert len(conforms(answer, "get-response")["events"]) == 1


async def test_spaces_are_apart(client: httpx.AsyncClient) -> None:
    body = creating("Created", entityId="one")
    conforms(await client.post("/entity/default", json=body), "create-response")
    other = await client.get("/entity/other/orders.Order/one")
    assert other.json() == {"events": []}
    conforms(await client.post("/entity/other", json=body), "create-response")


async def test_a_triggering_event_is_applied_once(client: httpx.AsyncClient) -> None:
    created = (await client.post("/entity/default", json=creating("Created"))).json()
    at = f"{ORDER}/{created['entityId']}"
    token = f"{created['eventIds'][0]}.c3Vi"
    conforms(await client.get(at, params={"triggeringEventToken": token}), "get-response")
    update = {
        "entityVersion": created["entityVersion"],
        "events": events("Approved"),
        "triggeringEventToken": token,
    }
    updated = conforms(await client.post(at, json=update), "update-response")
    update["entityVersion"] = updated["entityVersion"]
    refused(await client.post(at, json=update), 409, "duplicate_event")
    refused(
        await client.get(at, params={"other": "x", "triggeringEventToken": token}),
        409,
        "duplicate_event",
    )
    assert len((await client.get(at)).json()["events"]) == 2


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b"null", "body"),
        (b'"text"', "body"),
        (b"{}", "entityTypeName"),
        (b'{"entityTypeName": 1, "events": []}', "entityTypeName"),
        (b'{"entityTypeName": "A"}', "events"),
        (b'{"entityTypeName": "A", "events": []}', "events"),
        (b'{"entityTypeName": "A", "events": {}}', "events"),
        (b'{"entityTypeName": "A", "events": [7]}', "events[0]"),
        (b'{"entityTypeName": "A", "events": [{"eventData": ""}]}', "eventType"),
        (b'{"entityTypeName": "A", "events": [{"eventType": "", "eventData": ""}]}', "eventType"),
        (
            b'{"entityTypeName": "A", "events": [{"eventType": "t", "eventData": {}}]}',
            "events[0].eventData",
        ),
        (
            b'{"entityTypeName": "", "events": [{"eventType": "t", "eventData": ""}]}',
            "entityTypeName",
        ),
        (
            (
                b'{"entityTypeName": "A", "entityId": "a/b",'
                b' "events": [{"eventType": "t", "eventData": ""}]}'
            ),
            "entityId",
        ),
        (
            (
                b'{"entityTypeName": "A", "entityId": "",'
                b' "events": [{"eventType": "t", "eventData": ""}]}'
            ),
            "entityId",
        ),
        (b'{"entityTypeName": "A", "events": [{"eventType": "\\ud800", "eventData": ""}]}', "body"),
        (b'{"entityTypeName": "A", "events": [{"eventType": "\xff", "eventData": ""}]}', "body"),
        (b'{"entityTypeName": "A", "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "body"),
        (b'{"entityTypeName": "A", "events": [], "x": 1} trailing', "body"),
        (b"\xef\xbb\xbf{}", "body"),
    ],
)
async def test_a_bad_body_is_told_by_its_field(
    client: httpx.AsyncClient, http: HttpSide, body: bytes, named: str
) -> None:
    answer = await client.post(
        "/entity/default", content=body, headers={"content-type": "application/json"}
    )
    assert named in refused(answer, 400, "bad_request")
    assert http.store.head == 0  # nothing was stored


@pytest.mark.parametrize(
    ("update", "named"),
    [
        ({"events": events("A")}, "entityVersion"),
        ({"entityVersion": "x", "events": events("A")}, "entityVersion"),
        ({"entityVersion": "1-2", "events": []}, "events"),
        ({"entityVersion": "1-2", "events": events("A"), "snapshot": {"json": ""}}, "snapshot"),
        ({"entityVersion": "1-2", "events": events("A"), "triggeringEventToken": 1}, "triggering"),
    ],
)
async def test_a_bad_update_is_told_by_its_field(
    client: httpx.AsyncClient, update: dict[str, object], named: str
) -> None:
    assert named in refused(await client.post(f"{ORDER}/one", json=update), 400, "bad_request")


async def test_odd_but_valid_text_is_kept(client: httpx.AsyncClient) -> None:
    data = "NUL \0, a pair \U0001d11e, a number 1e999999, \\ud800 as characters"
    body = {"entityTypeName": "A", "events": [{"eventType": "t", "eventData": data}]}
    raw = json.dumps(body)[:-1] + f', "huge": {"9" * 5000}, "real": 1e99999}}'
    answer = await client.post(
        "/entity/default", content=raw, headers={"content-type": "application/json"}
    )
    created = conforms(answer, "create-response")
    found = (await client.get(f"/entity/default/A/{created['entityId']}")).json()
    assert found["events"][0]["eventData"] == data


@pytest.mark.parametrize(
    "target",
    [
        "/entity/default/orders.Order/%FF",
        "/entity/%C3/orders.Order/1",
        "/entity/default/%E2%28/1",
        "/entity/default/orders.Order/a%00b",
        "/entity/default/orders.Order/a%2Fb",
        "/entity/default/orders.Order/one?triggeringEventToken=%FF",
        f"/entity/default/orders.Order/{'x' * 256}",
    ],
)
async def test_a_path_that_names_nothing(client: httpx.AsyncClient, target: str) -> None:
    refused(await client.get(target), 400, "bad_request")


@pytest.mark.parametrize("target", ["/entity/", "/entity/default/", "/entity/default/x", "/nope"])
async def test_no_such_route(client: httpx.AsyncClient, target: str) -> None:
    refused(await client.get(target), 404, "not_found")
    refused(await client.post(target, json={}), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("GET", "/entity/default", "POST"),
        ("PUT", f"{ORDER}/one", "GET, POST"),
        ("DELETE", f"{ORDER}/one", "GET, POST"),
        ("OPTIONS", "/entity/default", "POST"),
        ("PATCH", "/entity/default", "POST"),
    ],
)
async def test_other_methods(
    client: httpx.AsyncClient, method: str, target: str, allowed: str
) -> None:
    answer = await client.request(method, target)
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": "APPLICATION/JSON"}, 200),
        ({}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
    ],
)
async def test_media_types(client: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    answer = await client.post(
        "/entity/default", content=json.dumps(creating("Created")).encode(), headers=headers
    )
    if status == 200:
        conforms(answer, "create-response")
    else:
        refused(answer, 415, "unsupported_media_type")


async def test_an_unexpected_error_shows_no_insides(
    client: httpx.AsyncClient,
    http: HttpSide,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret insides")

    monkeypatch.setattr(http.store, "load", broken)
    answer = await client.get(f"{ORDER}/one")
    assert "secret" not in refused(answer, 500, "internal_error")
    [record] = [record for record in caplog.records if record.name == "eventuary.http"]
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
