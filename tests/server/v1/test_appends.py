"""Several entities in one call: each with its own outcome, or all or nothing."""

import httpx
import pytest

from tests.server.v1.calls import append_all, creation, event, log, refused
from tests.server.v1.conftest import RunningServer


async def test_each_append_has_its_own_outcome(client: httpx.AsyncClient) -> None:
    first = (await append_all(client, creation("a"), creation())).json()["outcomes"]
    assert first[0]["entityId"] == "a"
    assert first[0]["eventIds"] == [first[0]["entityVersion"]]
    assert len(first[1]["entityId"]) == 33
    update = {"entityTypeName": "Order", "entityId": "a", "events": [event(1), event(2)]}
    answer = await append_all(
        client,
        creation("a"),
        {**update, "entityVersion": first[0]["entityVersion"]},
        {**update, "entityVersion": first[0]["entityVersion"]},
        {**update, "entityId": "nobody", "entityVersion": "1-1"},
        creation("b"),
    )
    assert answer.status_code == 200
    outcomes = answer.json()["outcomes"]
    assert [each.get("error") for each in outcomes] == [
        "entity_exists",
        None,
        "optimistic_lock_error",
        "not_found",
        None,
    ]
    assert all(each["explanation"] for each in outcomes if "error" in each)
    page = await log(client)
    assert [(each["entityId"]) for each in page["events"]] == [
        "a",
        first[1]["entityId"],
        "a",
        "a",
        "b",
    ]
    assert [each["id"] for each in page["events"]][2:4] == outcomes[1]["eventIds"]


async def test_appends_see_those_before_them_in_the_same_call(client: httpx.AsyncClient) -> None:
    answer = await append_all(client, creation("a"), creation("a"))
    assert [each.get("error") for each in answer.json()["outcomes"]] == [None, "entity_exists"]


async def test_atomic_and_refused_writes_nothing(client: httpx.AsyncClient) -> None:
    await append_all(client, creation("there"))
    answer = await append_all(client, creation("a"), creation("there"), creation("b"), atomic=True)
    assert answer.status_code == 409
    body = answer.json()
    assert body["error"] == "conflict"
    assert "appends[1]" in body["explanation"]
    assert "entity_exists" in body["explanation"]
    assert [each["error"] for each in body["outcomes"]] == ["conflict", "entity_exists", "conflict"]
    assert (await log(client))["head"] == 1
    answer = await append_all(client, creation("a"), creation("b"), atomic=True)
    assert answer.status_code == 200
    assert (await log(client))["head"] == 3


async def test_a_trigger_is_applied_once_and_shown_in_the_log(client: httpx.AsyncClient) -> None:
    made = (await append_all(client, creation("a"))).json()["outcomes"][0]
    token = f"{made['entityVersion']}.c3Vi"
    reaction = {**creation("b"), "triggeringEventToken": token}
    update = {
        "entityTypeName": "Order",
        "entityId": "b",
        "events": [event(1)],
        "triggeringEventToken": token,
    }
    first = (await append_all(client, reaction)).json()["outcomes"][0]
    again = await append_all(client, {**update, "entityVersion": first["entityVersion"]})
    assert again.json()["outcomes"][0]["error"] == "duplicate_event"
    assert (await log(client))["events"][1]["triggeringEventToken"] == token


async def test_a_snapshot_and_metadata_are_stored(client: httpx.AsyncClient) -> None:
    made = (await append_all(client, creation("a"))).json()["outcomes"][0]
    answer = await append_all(
        client,
        {
            "entityTypeName": "Order",
            "entityId": "a",
            "entityVersion": made["entityVersion"],
            "events": [{**event(1), "metadata": '{"who":"me"}'}],
            "snapshot": {"snapshotType": "State", "json": "{}"},
        },
    )
    version = answer.json()["outcomes"][0]["entityVersion"]
    found = (await client.get("/entity/default/Order/a")).json()
    assert found == {
        "events": [],
        "snapshot": {"snapshotType": "State", "json": "{}", "entityVersion": version},
    }
    assert (await log(client))["events"][1]["metadata"] == '{"who":"me"}'


async def test_a_thousand_appends_in_one_call(client: httpx.AsyncClient) -> None:
    answer = await append_all(client, *(creation(f"e{number}") for number in range(1000)))
    outcomes = answer.json()["outcomes"]
    assert [each["entityId"] for each in outcomes] == [f"e{number}" for number in range(1000)]
    assert (await log(client))["head"] == 1000


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("", "body: not JSON"),
        ("{", "body: not JSON"),
        ("[]", "body: expected `object`, got `array`"),
        ("{}", "missing required field `appends`"),
        ('{"appends":[]}', "appends: is empty"),
        ('{"appends":7}', "appends: expected `array`, got `int`"),
        ('{"appends":[],"atomc":true}', "unknown field `atomc`"),
        ('{"appends":[{}]}', "appends[0]: "),
        ('{"appends":[{"entityTypeName":1,"events":[]}]}', "appends[0].entityTypeName: expected"),
        ('{"appends":[{"entityTypeName":"T","events":[]}]}', "appends[0].events: is empty"),
        (
            '{"appends":[{"entityTypeName":"T","entityVersio":"1-1","events":[]}]}',
            "unknown field `entityVersio`",
        ),
        (
            (
                '{"appends":[{"entityTypeName":"T","entityVersion":"x","entityId":"a",'
                '"events":[{"eventType":"E","eventData":""}]}]}'
            ),
            "appends[0].entityVersion: 'x'",
        ),
    ],
)
async def test_what_is_malformed_is_named(client: httpx.AsyncClient, body: str, names: str) -> None:
    answer = await client.post("/v1/spaces/default/appends", content=body)
    assert names in refused(answer, 400, "bad_request")


async def test_bytes_that_are_not_utf8_and_deep_nesting(client: httpx.AsyncClient) -> None:
    url = "/v1/spaces/default/appends"
    for body in (b'{"appends":"\xff"}', b'{"appends":' + b"[" * 100_000):
        refused(await client.post(url, content=body), 400, "bad_request")


async def test_limits_name_themselves(client: httpx.AsyncClient, server: RunningServer) -> None:
    answer = await append_all(client, *(creation() for _ in range(2001)))
    assert "appends_per_call of 2000" in refused(answer, 400, "bad_request")
    long = "x" * (1024 * 1024)
    answer = await client.post("/v1/spaces/default/appends", content=long)
    refused(answer, 400, "bad_request")
    answer = await client.post("/v1/spaces/default/appends", content=long + "x")
    assert "body_size of 1048576" in refused(answer, 413, "payload_too_large")
    assert server.store.head == 0


async def test_other_media_types_are_refused(client: httpx.AsyncClient) -> None:
    url = "/v1/spaces/default/appends"
    answer = await client.post(url, content="a=b", headers={"content-type": "text/plain"})
    assert "'text/plain'" in refused(answer, 415, "unsupported_media_type")
    answer = await client.post(url, content="{}", headers={"content-encoding": "gzip"})
    assert "'gzip'" in refused(answer, 415, "unsupported_media_type")
    answer = await client.post(
        url,
        json={"appends": [creation()]},
        headers={"content-type": "Application/JSON; charset=utf-8"},
    )
    assert answer.status_code == 200
