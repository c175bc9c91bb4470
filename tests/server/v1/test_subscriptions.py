"""The operator's verbs on subscriptions, from outside, on ones that are really consumed."""

import asyncio
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import httpx
import msgspec
import pytest

from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.errors import BadRequest
from eventuary.server.v1.subscriptions import PolicyRequest
from tests.event_store.recorder import PATIENCE, Recorder
from tests.server.v1.calls import new_event, refused
from tests.server.v1.conftest import RunningServer

URL = "/v1/spaces/default/subscriptions"


class Subscriber:
    """A recorder that is subscribed to Created of Order."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.recorder = Recorder()

    async def connect(self, subscriber_id: str = "sub", space: str = "default") -> Recorder:
        self.recorder = Recorder()
        self.recorder.consumer = await self._server.store.subscribe(
            space, subscriber_id, {"Order": ["Created"]}, self.recorder
        )
        return self.recorder

    async def disconnect(self) -> None:
        assert self.recorder.consumer is not None
        await self.recorder.consumer.close()


@pytest.fixture
async def subscriber(server: RunningServer) -> Subscriber:
    for number in range(5):
        await server.store.create("default", "Order", [new_event(number)])
    subscriber = Subscriber(server)
    await subscriber.connect()
    await subscriber.recorder.until_events(5)
    return subscriber


async def status(client: httpx.AsyncClient, subscriber_id: str = "sub") -> dict[str, Any]:
    answer = await client.get(f"{URL}/{quote(subscriber_id, safe='')}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def until_lag(client: httpx.AsyncClient, lag: int) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while (found := await status(client))["lag"] != lag:
            await asyncio.sleep(0.01)
    return found


async def test_a_subscription_is_shown_with_its_lag(
    client: httpx.AsyncClient, server: RunningServer, subscriber: Subscriber
) -> None:
    found = await until_lag(client, 0)
    assert found["space"] == "default"
    assert found["subscriberId"] == "sub"
    assert found["durability"] == "DURABLE"
    assert found["selection"] == {"Order": ["Created"]}
    assert found["consumers"] == 1
    assert found["paused"] is False
    assert found["deadLetters"] == 0
    assert found["policy"]["window"] == 128
    assert [each["swimlane"] for each in found["swimlanes"]] == list(range(8))
    await subscriber.disconnect()
    for number in range(3):
        await server.store.create("default", "Order", [new_event(number)])
        await server.store.create("default", "Order", [new_event(number, "Ignored")])
    found = await until_lag(client, 3)
    assert found["consumers"] == 0
    assert {each["state"] for each in found["swimlanes"]} == {"idle"}


async def test_all_of_a_space_are_listed_and_no_others(
    client: httpx.AsyncClient, server: RunningServer, subscriber: Subscriber
) -> None:
    await Subscriber(server).connect("another")
    await Subscriber(server).connect("elsewhere", space="other")
    listed = (await client.get(URL)).json()["subscriptions"]
    assert [each["subscriberId"] for each in listed] == ["another", "sub"]
    listed = (await client.get("/v1/spaces/other/subscriptions")).json()["subscriptions"]
    assert [each["subscriberId"] for each in listed] == ["elsewhere"]
    refused(await client.get("/v1/spaces/other/subscriptions/sub"), 404, "not_found")


@pytest.mark.parametrize(
    "subscriber_id", ["a/b", "a%2Fb", "a b+c", "ünï/çödé", "?&=#", "..", "a/reset", "{x}", "日本"]
)
async def test_subscriber_ids_of_every_kind(
    client: httpx.AsyncClient, server: RunningServer, subscriber_id: str
) -> None:
    await Subscriber(server).connect(subscriber_id)
    path = quote(subscriber_id, safe="").replace(".", "%2E")
    answer = await client.post(f"{URL}/{path}/reset", json={"to": "beginning"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["subscriberId"] == subscriber_id


async def test_reset_delivers_again(client: httpx.AsyncClient, subscriber: Subscriber) -> None:
    recorder = subscriber.recorder
    await until_lag(client, 0)
    answer = await client.post(f"{URL}/sub/reset", json={"to": "beginning"})
    assert answer.status_code == 200
    await recorder.until_events(10)
    await until_lag(client, 0)
    await client.post(f"{URL}/sub/reset", json={"to": 3})
    await recorder.until_events(12)
    assert sorted(recorder.data[10:]) == ['{"number":3}', '{"number":4}']


async def test_reset_to_the_end_skips(
    client: httpx.AsyncClient, server: RunningServer, subscriber: Subscriber
) -> None:
    await subscriber.disconnect()
    await server.store.create("default", "Order", [new_event(5)])
    await until_lag(client, 1)
    answer = await client.post(f"{URL}/sub/reset", json={"to": "end"})
    assert answer.json()["lag"] == 0
    recorder = await subscriber.connect()
    await server.store.create("default", "Order", [new_event(6)])
    await recorder.until_events(1)
    assert recorder.data == ['{"number":6}']


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("{}", "missing required field `to`"),
        ('{"to":"middle"}', "to: invalid enum value 'middle'"),
        ('{"to":-1}', "to: expected `float` >= 0"),
        ('{"to":1.5}', "to: expected `float` that's a multiple of 1"),
        ('{"to":"end","more":1}', "unknown field `more`"),
    ],
)
async def test_a_bad_reset_is_named(
    client: httpx.AsyncClient, subscriber: Subscriber, body: str, names: str
) -> None:
    answer = await client.post(f"{URL}/sub/reset", content=body)
    assert names in refused(answer, 400, "bad_request")


async def test_beyond_the_head_is_a_conflict(
    client: httpx.AsyncClient, subscriber: Subscriber
) -> None:
    answer = await client.post(f"{URL}/sub/reset", json={"to": 6})
    assert "6 is beyond the head of the log, 5" in refused(answer, 409, "conflict")
    assert (await client.post(f"{URL}/sub/reset", json={"to": 5.0})).json()["lag"] == 0


async def test_pause_and_resume(
    client: httpx.AsyncClient, server: RunningServer, subscriber: Subscriber
) -> None:
    paused = (await client.post(f"{URL}/sub/pause")).json()
    assert paused["paused"] is True
    assert {each["state"] for each in paused["swimlanes"]} == {"paused"}
    await server.store.create("default", "Order", [new_event(5)])
    await until_lag(client, 1)
    assert len(subscriber.recorder.events) == 5
    assert (await client.post(f"{URL}/sub/resume")).json()["paused"] is False
    await subscriber.recorder.until_events(6)


async def test_the_policy_is_replaced_whole(
    client: httpx.AsyncClient, subscriber: Subscriber
) -> None:
    answer = await client.put(
        f"{URL}/sub/policy", json={"maxAttempts": 3, "onDeadLetter": "continue"}
    )
    expected = {
        "window": 128,
        "ackTimeout": 300.0,
        "maxAttempts": 3,
        "firstPause": 0.5,
        "longestPause": 60.0,
        "onDeadLetter": "continue",
    }
    assert answer.json()["policy"] == expected
    await subscriber.disconnect()
    assert (await status(client))["policy"] == expected
    answer = await client.put(f"{URL}/sub/policy", json={"window": 1})
    assert answer.json()["policy"] == {**expected, "window": 1, "maxAttempts": 10} | {
        "onDeadLetter": "wait"
    }


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ({"window": 0}, "window: expected `float` >= 1"),
        ({"window": 10_001}, "window: expected `float` <= 10000"),
        ({"ackTimeout": 0.01}, "ackTimeout: expected `float` >= 0.05"),
        ({"firstPause": "soon"}, "firstPause: expected `float`, got `str`"),
        ({"onDeadLetter": "panic"}, "onDeadLetter: invalid enum value 'panic'"),
        ({"maxAttempts": 1.5}, "maxAttempts: expected `float` that's a multiple of 1"),
        ({"windows": 1}, "unknown field `windows`"),
    ],
)
async def test_a_bad_policy_is_named(
    client: httpx.AsyncClient, subscriber: Subscriber, policy: dict[str, object], names: str
) -> None:
    answer = await client.put(f"{URL}/sub/policy", json=policy)
    assert names in refused(answer, 400, "bad_request")


async def test_what_a_policy_leaves_out_is_as_the_server_was_told(tmp_path: Path) -> None:
    """And the document says so."""
    default = DeliveryPolicy(
        window=7, ack_timeout=8.5, max_attempts=3, on_dead_letter=OnDeadLetter.CONTINUE
    )
    running = RunningServer(tmp_path / "eventuary.db", policy=default)
    await running.start()
    await Subscriber(running).connect()
    async with running.client() as client:
        answer = await client.put(f"{URL}/sub/policy", json={"maxAttempts": 4.0})
        told = msgspec.to_builtins(default)
        assert answer.json()["policy"] == {**told, "maxAttempts": 4}
        answer = await client.put(f"{URL}/sub/policy", json={})
        assert answer.json()["policy"] == told
        document = (await client.get("/openapi.json")).json()
    await running.stop()
    documented = document["components"]["schemas"]["PolicyRequest"]["properties"]
    assert {name: field["default"] for name, field in documented.items()} == told
    assert documented["window"]["type"] == documented["maxAttempts"]["type"] == "integer"


def test_the_documented_policy_is_deliverys_own() -> None:
    assert PolicyRequest().over(DeliveryPolicy()) == DeliveryPolicy()
    for field in msgspec.structs.fields(PolicyRequest):
        limits = get_args(get_args(field.type)[0])[1]
        for value, outside in ((limits.ge, -0.0001), (limits.le, 1)):
            if value is None:
                assert field.name == "on_dead_letter"
                continue
            msgspec.structs.replace(DeliveryPolicy(), **{field.name: value}).check()
            with pytest.raises(BadRequest, match=field.name):
                msgspec.structs.replace(DeliveryPolicy(), **{field.name: value + outside}).check()


async def test_a_deleted_subscription_is_gone_and_its_consumers_are_told(
    client: httpx.AsyncClient, subscriber: Subscriber
) -> None:
    answer = await client.delete(f"{URL}/sub")
    assert answer.json() == {"deleted": "sub"}
    assert subscriber.recorder.closed_because is not None
    refused(await client.get(f"{URL}/sub"), 404, "not_found")
    refused(await client.delete(f"{URL}/sub"), 404, "not_found")


async def test_verbs_on_what_does_not_exist(client: httpx.AsyncClient) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/reset", {"to": "end"}),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("PUT", "/policy", {}),
        ("GET", "/dead-letters", None),
        ("POST", "/dead-letters/1/replay", None),
        ("DELETE", "/dead-letters/1", None),
    ):
        answer = await client.request(method, f"{URL}/nobody{path}", json=body)
        assert "'nobody'" in refused(answer, 404, "not_found")
