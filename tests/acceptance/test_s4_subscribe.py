"""S4: a durable, named subscription delivers all past and all coming events of the chosen types."""

import contextlib

from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import by_entity
from tests.acceptance.waiting import wait_until

_END = "net.chrisrichardson.eventstore.subscriptions.EndOfCurrentEventsReachedEvent"


def test_past_and_coming_events_of_the_chosen_types(server: ServerProcess, rest: Rest) -> None:
    wanted: dict[str, list[str]] = {}
    for number in range(25):
        order = rest.create("Order", [Event("Ordered"), Event("Noise"), Event("Paid")])
        bill = rest.create("Bill", [Event("Billed"), Event("Paid")])
        rest.create("Other", [Event("Ordered")], entity_id=f"o{number}")
        wanted[order.entity_id] = [order.event_ids[0], order.event_ids[2]]
        wanted[bill.entity_id] = [bill.event_ids[0]]

    with server.connect() as client:
        types = {"Order": ["Ordered", "Paid"], "Bill": ["Billed"]}
        client.subscribe("s4", types, space=rest.space)
        assert by_entity(client.take(75)) == wanted

        coming = rest.create("Order", [Event("Ordered"), Event("Noise"), Event("Paid")])
        more = rest.update("Order", coming.entity_id, coming.entity_version, [Event("Paid")])
        events = client.take(3)
        assert [event.id for event in events] == [
            coming.event_ids[0],
            coming.event_ids[2],
            more.event_ids[0],
        ]
        client.expect_silence(0.2)


def test_a_message_says_all_there_is_to_say(server: ServerProcess, rest: Rest) -> None:
    created = rest.http.post(
        f"/entity/{rest.space}",
        json={
            "entityTypeName": "net.example/Order",
            "events": [{"eventType": "a.Ordered", "eventData": '{"a":\n1}', "metadata": "m:\\\n"}],
        },
    ).json()
    with server.connect() as client:
        destination = client.subscribe(
            "s4-message", {"net.example/Order": ["a.Ordered"]}, space=rest.space, name="mine"
        )
        message = client.next()
        client.ack(message)

    assert message.frame.headers["destination"] == destination
    assert message.frame.headers["subscription"] == "mine"
    assert message.event.id == created["eventIds"][0]
    assert message.event.entity_id == created["entityId"]
    assert message.event.entity_type == "net.example/Order"
    assert message.event.event_type == "a.Ordered"
    assert message.event.event_data == '{"a":\n1}'
    assert message.event.event_metadata == "m:\\\n"


def test_the_event_token_makes_handling_idempotent(server: ServerProcess, rest: Rest) -> None:
    rest.create("Order", [Event("Ordered")])
    target = rest.create("Customer", [Event("Joined")])
    with server.connect() as client:
        client.subscribe("s4-token", {"Order": ["Ordered"]}, space=rest.space)
        token = client.take(1)[0].event_token
    rest.update(
        "Customer", target.entity_id, target.entity_version, [Event("Charged")], token=token
    )

    answer = rest.http.get(
        f"{rest.path('Customer', target.entity_id)}?triggeringEventToken={token}"
    )

    assert (answer.status_code, answer.json()["error"]) == (409, "duplicate_event")


def test_from_the_end_only_what_comes(server: ServerProcess, rest: Rest) -> None:
    rest.create("Order", [Event("Ordered")])
    with server.connect() as client:
        client.subscribe(
            "s4-end", {"Order": ["Ordered"]}, space=rest.space, options={"readFrom": "END"}
        )
        coming = rest.create("Order", [Event("Ordered")])
        assert [event.id for event in client.take(1)] == coming.event_ids


def test_progress_is_told_when_asked_for(server: ServerProcess, rest: Rest) -> None:
    ids = {rest.create("Order", [Event("Ordered")]).event_ids[0] for _ in range(20)}
    with server.connect() as client:
        client.subscribe(
            "s4-progress",
            {"Order": ["Ordered"]},
            space=rest.space,
            options={"progressNotifications": True},
        )
        events = client.take(20 + 8)
        client.expect_silence(0.2)

    told = [event for event in events if event.event_type == _END]
    assert {event.swimlane for event in told} == set(range(8))
    assert all(event.event_data == "{}" for event in told)
    assert {event.id for event in events if event.event_type != _END} == ids
    last_of_lane = {event.swimlane: event.event_type for event in events}
    assert set(last_of_lane.values()) == {_END}


def test_acknowledged_events_do_not_come_again(server: ServerProcess, rest: Rest) -> None:
    types = {"Order": ["Ordered"]}
    for _ in range(10):
        rest.create("Order", [Event("Ordered")])
    with server.connect() as before:
        before.subscribe("s4-again", types, space=rest.space)
        before.take(10)
        before.settle()

    coming = rest.create("Order", [Event("Ordered")])
    with server.connect(after=before) as client:
        client.subscribe("s4-again", types, space=rest.space)
        assert [event.id for event in client.take(1)] == coming.event_ids


def test_a_refused_event_comes_again_before_its_successors(
    server: ServerProcess, rest: Rest
) -> None:
    created = rest.create("Order", [Event("Ordered"), Event("Paid"), Event("Sent")])
    with server.connect() as client:
        client.subscribe("s4-nack", {"Order": ["Ordered", "Paid", "Sent"]}, space=rest.space)
        first = client.next()
        client.nack(first)
        acknowledged = list[str]()
        while len(acknowledged) < 3:
            message = client.next()
            if message.event.id not in created.event_ids[: len(acknowledged) + 1]:
                continue  # sent before the refusal was read; it comes again in its turn
            client.ack(message)
            if message.event.id not in acknowledged:
                acknowledged.append(message.event.id)
        assert acknowledged == created.event_ids

        path = f"/v1/spaces/{rest.space}/subscriptions/s4-nack"

        def everything_is_acknowledged() -> bool:
            # Whoever leaves too early is not heard; and over several servers some may come again.
            with contextlib.suppress(TimeoutError):
                client.ack(client.next(0.05))
            return bool(rest.http.get(path).json()["lag"] == 0)

        wait_until(everything_is_acknowledged, "everything is acknowledged")
