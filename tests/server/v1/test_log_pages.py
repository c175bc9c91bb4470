"""The log as pages: order, filters, spaces apart, waiting."""

import asyncio

import httpx
import pytest

from tests.event_store.recorder import PATIENCE
from tests.server.v1.calls import append_all, creation, event, log, new_event, numbers, refused
from tests.server.v1.conftest import RunningServer

URL = "/v1/spaces/default/log"


async def test_pages_show_every_event_once_in_order(client: httpx.AsyncClient) -> None:
    await append_all(client, *(creation(f"e{number}", number=number) for number in range(25)))
    seen: list[str] = []
    after = 0
    while True:
        page = await log(client, after=after, limit=10)
        assert page["head"] == 25
        assert len(page["events"]) <= 10
        seen += numbers(page)
        if not page["events"]:
            break
        after = page["position"]
    assert after == 25
    assert seen == [f'{{"number":{number}}}' for number in range(25)]


async def test_an_event_is_shown_whole(client: httpx.AsyncClient) -> None:
    made = (await append_all(client, creation("a"))).json()["outcomes"][0]
    (shown,) = (await log(client))["events"]
    assert shown.pop("swimlane") in range(8)
    assert shown == {
        "position": 1,
        "id": made["entityVersion"],
        "entityType": "Order",
        "entityId": "a",
        "eventType": "Created",
        "eventData": '{"number":0}',
    }


async def test_filters(client: httpx.AsyncClient) -> None:
    for entity_type in ("Order", "Customer"):
        for event_type in ("Created", "Changed"):
            await append_all(
                client,
                {
                    "entityTypeName": entity_type,
                    "events": [event(0, event_type)],
                },
            )

    async def types(**query: str | list[str]) -> list[tuple[str, str]]:
        page = await log(client, "default", **query)
        assert page["position"] == page["head"] == 4
        return [(each["entityType"], each["eventType"]) for each in page["events"]]

    assert await types(entityType="Order") == [("Order", "Created"), ("Order", "Changed")]
    assert await types(eventType="Changed") == [("Order", "Changed"), ("Customer", "Changed")]
    assert await types(entityType="Order", eventType="Changed") == [("Order", "Changed")]
    assert await types(eventType=["Changed", "Created"], entityType="Customer") == [
        ("Customer", "Created"),
        ("Customer", "Changed"),
    ]
    assert await types(eventType="Nothing") == []
    assert await types(entityType="Nothing") == []


async def test_spaces_are_apart(client: httpx.AsyncClient) -> None:
    await append_all(client, creation("a"), space="one")
    await append_all(client, creation("b"), space="two")
    assert [each["entityId"] for each in (await log(client, "one"))["events"]] == ["a"]
    assert [each["entityId"] for each in (await log(client, "two"))["events"]] == ["b"]
    assert (await log(client, "three"))["events"] == []


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("after=-1", "after: expected `int` >= 0"),
        ("after=x", "after: expected `int`, got `str`"),
        ("after=9223372036854775808", "after: expected `int` <= 9223372036854775807"),
        ("limit=0", "limit: expected `int` >= 1"),
        ("limit=10001", "limit: expected `int` <= 10000"),
        ("wait=-0.1", "wait: expected `float` >= 0"),
        ("wait=61", "wait: expected `float` <= 60"),
        ("wait=nan", "wait: "),
        ("after=1&after=2", "after: is given twice"),
        ("entitytype=Order", "entitytype: is not a parameter of this route; known: after"),
        ("eventType=%ff", "query: is not percent-encoded UTF-8"),
    ],
)
async def test_a_bad_query_is_named(client: httpx.AsyncClient, query: str, names: str) -> None:
    assert names in refused(await client.get(f"{URL}?{query}"), 400, "bad_request")


async def test_beyond_the_head_is_empty(client: httpx.AsyncClient) -> None:
    page = await log(client, after=2**63 - 1)
    assert page == {"events": [], "position": 2**63 - 1, "head": 0, "partitions": 1}


async def test_a_partition_that_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("log", "log/stream"):
        answer = await client.get(f"/v1/spaces/default/{path}", params={"partition": 1})
        assert answer.status_code == 404
        assert answer.json()["explanation"] == (
            "partition: there is no 1: the log has 1, numbered from 0"
        )


async def test_waiting_ends_with_the_first_event_that_passes(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    waiting = asyncio.create_task(log(client, eventType="Wanted", wait=30))
    await asyncio.sleep(0)
    for number in range(3):
        await server.store.create("default", "Order", [new_event(number)])
        await server.store.create("other", "Order", [new_event(number, "Wanted")])
    assert not waiting.done()
    await server.store.create("default", "Order", [new_event(9, "Wanted")])
    page = await asyncio.wait_for(waiting, PATIENCE)
    assert numbers(page) == ['{"number":9}']
    assert page["position"] == 7


async def test_waiting_in_vain_ends_in_time(client: httpx.AsyncClient) -> None:
    await append_all(client, creation())
    loop = asyncio.get_running_loop()
    began = loop.time()
    page = await log(client, after=1, wait=0.2)
    assert page == {"events": [], "position": 1, "head": 1, "partitions": 1}
    assert loop.time() - began > 0.15


async def test_waiting_ends_when_the_server_drains(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    waiting = asyncio.create_task(log(client, wait=60))
    await asyncio.sleep(0.05)
    server.sources.draining = True
    assert (await asyncio.wait_for(waiting, PATIENCE))["events"] == []


async def test_waiting_ends_when_the_client_leaves(server: RunningServer) -> None:
    before = asyncio.all_tasks()
    async with server.client() as client:
        waiting = asyncio.create_task(log(client, wait=60))
        async with asyncio.timeout(PATIENCE):
            while not server.store._followers:
                await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(PATIENCE):
        while server.store._followers or asyncio.all_tasks() - before:
            await asyncio.sleep(0.01)


async def test_a_long_poll_ends_with_its_key(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    key = (await client.post("/v1/keys", json={"keyId": "reader"})).json()
    async with server.client((key["keyId"], key["secret"])) as holder:
        waiting = asyncio.create_task(
            holder.get("/v1/spaces/default/log", params={"after": 0, "wait": 60})
        )
        await asyncio.sleep(0)
        assert (await client.delete("/v1/keys/reader")).status_code == 200
        async with asyncio.timeout(PATIENCE):
            answer = await waiting
        # Revoked before it was asked, or while it waited: as it comes.
        assert answer.status_code == 401 or answer.json()["events"] == []
