"""Dead letters from outside: listed, replayed, discarded."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.event_store.recorder import PATIENCE, Recorder
from tests.server.v1.calls import new_event, refused
from tests.server.v1.conftest import RunningServer

URL = "/v1/spaces/default/subscriptions/sub"


class Failing(Recorder):
    """Refuses every delivery whose data it was told to."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused = set(refused)

    def acknowledge(self, deliveries: Any) -> None:
        for delivery in deliveries:
            if delivery.event.event_data in self.refused and self.consumer is not None:
                self.consumer.refuse(delivery.swimlane, delivery.offset, "KeyError: 'total'")
            else:
                super().acknowledge([delivery])


async def parked(
    client: httpx.AsyncClient, server: RunningServer, *, on_dead_letter: str = "wait"
) -> Failing:
    """Subscribe; of three events of an entity, the second is parked before the third occurs."""
    recorder = Failing('{"number":1}')
    recorder.consumer = await server.store.subscribe(
        "default", "sub", {"Order": ["Created"]}, recorder
    )
    await client.put(
        f"{URL}/policy",
        json={"maxAttempts": 2, "firstPause": 0.001, "onDeadLetter": on_dead_letter},
    )
    made = await server.store.create(
        "default", "Order", [new_event(0), new_event(1)], entity_id="a"
    )
    await until_dead_letters(client, 1)
    await server.store.append("default", "Order", "a", made.entity_version, [new_event(2)])
    return recorder


async def dead_letters(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get(f"{URL}/dead-letters")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deadLetters"]
    return found


async def until_dead_letters(client: httpx.AsyncClient, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(await dead_letters(client)) != number:
            await asyncio.sleep(0.01)


async def test_a_dead_letter_says_what_and_why(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    await parked(client, server)
    (letter,) = await dead_letters(client)
    assert letter.pop("parkedAt") > 1_700_000_000_000
    assert letter.pop("swimlane") in range(8)
    assert len(letter.pop("eventId")) == 33
    assert letter == {
        "position": 2,
        "entityType": "Order",
        "entityId": "a",
        "eventType": "Created",
        "attempts": 2,
        "reason": "KeyError: 'total'",
    }
    status = (await client.get(URL)).json()
    assert status["deadLetters"] == 1
    assert "halted" in {each["state"] for each in status["swimlanes"]}


async def test_a_replayed_one_is_delivered_and_the_swimlane_goes_on(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    recorder = await parked(client, server)
    recorder.refused.clear()
    answer = await client.post(f"{URL}/dead-letters/2/replay")
    assert answer.status_code == 200
    assert answer.json()["subscriberId"] == "sub"
    await recorder.until(lambda: recorder.data[-1:] == ['{"number":2}'])
    assert recorder.data == [f'{{"number":{number}}}' for number in (0, 1, 1, 1, 2)]
    await until_dead_letters(client, 0)


async def test_a_swimlane_that_does_not_wait_goes_on(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    recorder = await parked(client, server, on_dead_letter="continue")
    await recorder.until(lambda: recorder.data[-1:] == ['{"number":2}'])
    recorder.refused.clear()
    await client.post(f"{URL}/dead-letters/2/replay")
    await recorder.until(lambda: recorder.data[-1:] == ['{"number":1}'])
    await until_dead_letters(client, 0)


async def test_a_discarded_one_is_passed_over(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    recorder = await parked(client, server)
    answer = await client.delete(f"{URL}/dead-letters/2")
    assert answer.status_code == 200
    assert answer.json()["deadLetters"] == 0
    await recorder.until(lambda: recorder.data[-1:] == ['{"number":2}'])
    assert await dead_letters(client) == []


async def test_replay_without_a_consumer_is_a_conflict(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    recorder = await parked(client, server)
    assert recorder.consumer is not None
    await recorder.consumer.close()
    answer = await client.post(f"{URL}/dead-letters/2/replay")
    assert "is not connected" in refused(answer, 409, "conflict")


@pytest.mark.parametrize("position", ["x", "-1", "1.0", "99999999999999999999", "%20"])
async def test_a_bad_position_is_named(client: httpx.AsyncClient, position: str) -> None:
    for method, verb in (("POST", "/replay"), ("DELETE", "")):
        answer = await client.request(method, f"{URL}/dead-letters/{position}{verb}")
        assert "position: " in refused(answer, 400, "bad_request")


async def test_no_dead_letter_at_this_position(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    await parked(client, server)
    answer = await client.delete(f"{URL}/dead-letters/1")
    assert "position 1" in refused(answer, 404, "not_found")
