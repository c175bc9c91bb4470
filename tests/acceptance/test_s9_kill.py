"""S9: ``kill -9`` of the server at any moment: what was acknowledged is there, nothing is half."""

import random
import threading
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from tests.acceptance.conftest import Start
from tests.acceptance.load import ENTITY_TYPE, EVENT_TYPES, Writer, check_all
from tests.acceptance.order import Delivery, check_order, missing
from tests.acceptance.rest_client import Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import StompClient
from tests.acceptance.waiting import wait_until

#: tests/torture/test_kills.py has dozens.
_KILLS = 2


def _log_of(rest: Rest) -> dict[str, list[str]]:
    """Return the event ids of each entity as the log has them."""
    found: dict[str, list[str]] = {}
    position = 0
    while True:
        page = rest.http.get(
            f"/v1/spaces/{rest.space}/log", params={"after": position, "limit": 5000}
        ).json()
        for event in page["events"]:
            assert event["position"] > position
            position = event["position"]
            found.setdefault(event["entityId"], []).append(event["id"])
        if not page["events"]:
            return found


def _run_and_kill(server: ServerProcess, writers: Sequence[Writer], chance: random.Random) -> None:
    before = sum(writer.acknowledged for writer in writers)
    more = chance.randint(20, 200)
    wait_until(
        lambda: sum(writer.acknowledged for writer in writers) >= before + more,
        f"{more} more batches are written",
        every=0.001,
    )
    server.restart()


def test_every_acknowledged_append_is_there_and_whole(start: Start) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = start()
    writers = [Writer(server.url, f"w{number}", seed) for number in range(6)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(_KILLS):
            _run_and_kill(server, writers, chance)
    finally:
        for writer in writers:
            writer.stop()
    server.restart()

    stored = check_all(server.url, writers, hint=f"seed {seed}")

    with Rest(server.url) as rest:
        # Another server than that which has written may read the log a moment later.
        wait_until(lambda: _log_of(rest) == stored, "the log and the entities tell the same")
        # Versions are consistent: each entity takes an append at the version it shows.
        for entity_id, ids in list(stored.items())[:20]:
            event = {"eventType": "Changed", "eventData": "{}"}
            answer = rest.http.post(
                rest.path(ENTITY_TYPE, entity_id),
                json={"entityVersion": ids[-1], "events": [event]},
            )
            assert answer.status_code == 200, answer.text
            assert answer.json()["entityVersion"] > ids[-1]


def test_a_subscription_resumes_with_nothing_lost(start: Start) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = start()
    writers = [Writer(server.url, f"w{number}", seed) for number in range(3)]
    for writer in writers:
        writer.start()
    deliveries: list[Delivery] = []
    try:
        for _ in range(_KILLS):
            with StompClient(server.stomp_port) as client:
                client.subscribe("s9", {ENTITY_TYPE: EVENT_TYPES})
                for _ in range(chance.randint(50, 400)):
                    message = client.next()
                    deliveries.append(Delivery(message.event.entity_id, message.event.id))
                    if chance.random() < 0.97:
                        client.ack(message)
                server.restart()
    finally:
        for writer in writers:
            writer.stop()
    stored = check_all(server.url, writers, hint=f"seed {seed}")
    with StompClient(server.stomp_port) as client:
        client.subscribe("s9", {ENTITY_TYPE: EVENT_TYPES})
        left = missing(deliveries, stored)
        while left:
            event = client.take(1)[0]
            deliveries.append(Delivery(event.entity_id, event.id))
            left.discard(deliveries[-1])
    check_order(deliveries, stored, hint=f"seed {seed}")


def test_an_atomic_call_is_there_as_a_whole_or_not(start: Start) -> None:
    server = start()
    acknowledged: list[int] = []
    stop = threading.Event()

    def write() -> None:
        with Rest(server.url) as rest:
            call = 0
            while not stop.is_set():
                call += 1
                appends = [
                    {
                        "entityTypeName": "Leg",
                        "entityId": f"{call}-{leg}",
                        "events": [{"eventType": "Booked", "eventData": "{}"}] * 3,
                    }
                    for leg in range(25)
                ]
                try:
                    answer = rest.http.post(
                        "/v1/spaces/default/appends", json={"appends": appends, "atomic": True}
                    )
                except httpx.TransportError:
                    stop.wait(0.02)
                    continue
                if answer.status_code == 503:  # it may have been written, or not
                    stop.wait(0.02)
                    continue
                assert answer.status_code == 200, answer.text
                acknowledged.append(call)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for kill in range(_KILLS):
            wait_until(lambda: len(acknowledged) > 15 * (kill + 1), "calls are made")  # noqa: B023
            server.restart()
    finally:
        stop.set()
        writer.join(60)

    with Rest(server.url) as rest:

        def all_are_there_and_whole() -> bool:
            legs: dict[int, int] = {}
            for entity_id, ids in _log_of(rest).items():
                assert len(ids) == 3
                call = int(entity_id.partition("-")[0])
                legs[call] = legs.get(call, 0) + 1
            assert set(legs.values()) == {25}, "a call is there in part"
            return set(acknowledged) <= legs.keys()

        # Another server than that which has written may read the log a moment later.
        wait_until(all_are_there_and_whole, "what was acknowledged is in the log")


def test_a_snapshot_and_a_trigger_survive_with_their_events(start: Start) -> None:
    server = start()
    token = "0000000000000001-0000000000000002.cw"
    with Rest(server.url) as rest:
        body = {
            "entityTypeName": "Order",
            "entityId": "1",
            "triggeringEventToken": token,
            "events": [{"eventType": "Ordered", "eventData": "{}"}],
        }
        version = rest.http.post("/entity/default", json=body).json()["entityVersion"]
        update = {
            "entityVersion": version,
            "events": [{"eventType": "Paid", "eventData": "{}"}],
            "snapshot": {"snapshotType": "State", "json": "{}"},
        }
        updated = rest.http.post(
            rest.path("Order", "1"),
            content=msgspec.json.encode(update),
            headers={"content-type": "application/json"},
        ).json()
    server.restart()
    with Rest(server.url) as rest:

        def find() -> dict[str, Any]:
            found: dict[str, Any] = rest.http.get(rest.path("Order", "1")).json()
            return found

        # Over JetStream another server learns of a type's first snapshot within seconds; until then
        # it answers all events.
        wait_until(lambda: "snapshot" in find(), "the snapshot is found")
        found = find()
        assert found["snapshot"]["entityVersion"] == updated["entityVersion"]
        answer = rest.http.get(rest.path("Order", "1"), params={"triggeringEventToken": token})
        assert answer.json()["error"] == "duplicate_event"
