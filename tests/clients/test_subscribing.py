"""What the clients do by STOMP: receive, acknowledge, go away, come back."""

import pytest

from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import ServerProcess
from tests.clients.accounts import CHANGED, OPENED, Accounts
from tests.clients.client_process import ClientProcess, Received, Refused
from tests.clients.conftest import GO, JAVA, KEY, NODE, NODE_PACKAGE, Kind, Run, for_each
from tests.clients.relay import Relay

pytestmark = pytest.mark.timeout(300)  # the first test of each client may build it

every_client = for_each(GO, JAVA, NODE, NODE_PACKAGE)


def _ids(events: list[Received]) -> list[str]:
    return [event.id for event in events]


@every_client
def test_a_restarted_client_gets_what_it_did_not_acknowledge_and_no_more(
    run: Run, server: ServerProcess, space: str, accounts: Accounts
) -> None:
    ids = accounts.open(19)
    first, second = run(server, space=space), run(server, space=space)
    first.subscribe("restarted", accounts.selection)
    received = first.take(20)
    assert _ids(received) == ids
    assert received[0].event_data == OPENED.event_data
    assert [first.finish(event) for event in received[:15]] == [1] * 15
    assert first.finish(received[16]) == 0  # as long as the one before it is not finished
    accounts.wait_for_lag("restarted", 5)
    first.kill()

    more = accounts.open(3)
    second.subscribe("restarted", accounts.selection)
    again = second.take(9)
    # Each account's events come in order; one account doesn't wait for the other.
    assert [event_id for event_id in _ids(again) if event_id in ids] == ids[15:]
    assert [event_id for event_id in _ids(again) if event_id in more] == more
    for event in again:
        second.finish(event)
    accounts.wait_for_lag("restarted", 0)
    last = accounts.open()
    assert _ids([second.next()]) == last
    second.close()


@every_client
def test_what_is_finished_out_of_order_is_acknowledged_in_order(
    client: ClientProcess, accounts: Accounts
) -> None:
    ids = accounts.open(3)
    client.subscribe("disorderly", accounts.selection)
    received = client.take(4)
    assert _ids(received) == ids
    assert [client.finish(received[index]) for index in (0, 2, 3)] == [1, 0, 0]
    accounts.wait_for_lag("disorderly", 3)
    assert client.finish(received[1]) == 3
    accounts.wait_for_lag("disorderly", 0)


@every_client
def test_an_event_handled_twice_changes_an_entity_once(
    client: ClientProcess, accounts: Accounts
) -> None:
    accounts.open()
    client.subscribe("handler", accounts.selection)
    event = client.next()
    view = client.create("net.example.View", [Event("Begun", '{"a": 1}')])
    changed = client.update(
        "net.example.View",
        view.entity_id,
        view.entity_version,
        [Event("Counted", '{"a": 2}')],
        token=event.event_token,
    )
    with pytest.raises(Refused) as found:
        client.find("net.example.View", view.entity_id, token=event.event_token)
    with pytest.raises(Refused) as updated:
        client.update(
            "net.example.View",
            view.entity_id,
            changed.entity_version,
            [Event("Counted", '{"a": 3}')],
            token=event.event_token,
        )
    for refused in (found, updated):
        assert (refused.value.status, refused.value.code) == (409, "duplicate_event")
    assert len(client.find("net.example.View", view.entity_id)) == 2


@every_client
def test_several_subscriptions_of_one_client(client: ClientProcess, accounts: Accounts) -> None:
    ids = accounts.open(1)
    client.subscribe("a view/1", accounts.only(OPENED))
    client.subscribe("2", {**accounts.only(CHANGED), "Other": ["Event"]})
    received = {event.subscriber_id: event for event in client.take(2)}
    assert received["a view/1"].id == ids[0]
    assert received["2"].id == ids[1]
    for event in received.values():
        assert client.finish(event) == 1
    accounts.wait_for_lag("a view/1", 0)
    accounts.wait_for_lag("2", 0)


@every_client
def test_a_thousand_events_in_order(client: ClientProcess, accounts: Accounts) -> None:
    ids = accounts.open(999)
    client.subscribe("patient", accounts.selection)
    for event_id in ids:
        event = client.next()
        assert event.id == event_id
        client.finish(event)
    accounts.wait_for_lag("patient", 0)


@for_each(JAVA, NODE, NODE_PACKAGE)  # the Go client sends no options
def test_reading_from_the_end_of_the_log(client: ClientProcess, accounts: Accounts) -> None:
    accounts.open(1)
    client.subscribe("late", accounts.selection, {"durability": "DURABLE", "readFrom": "END"})
    new = accounts.open()
    assert _ids([client.next()]) == new


@for_each(JAVA, NODE, NODE_PACKAGE)  # the Go client sends no options
def test_a_notification_that_the_present_is_reached(
    client: ClientProcess, accounts: Accounts
) -> None:
    ids = accounts.open()
    client.subscribe("rebuilding", accounts.selection, {"progressNotifications": True})
    events = client.take(9)
    notifications = [event for event in events if event.id not in ids]
    assert {event.event_type for event in notifications} == {
        "net.chrisrichardson.eventstore.subscriptions.EndOfCurrentEventsReachedEvent"
    }
    assert sorted(event.swimlane for event in notifications) == list(range(8))
    assert sum(client.finish(event) for event in events) == 9
    accounts.wait_for_lag("rebuilding", 0)


@for_each(GO, JAVA, NODE)
def test_the_server_is_killed_and_comes_back(
    run: Run, mortal_server: ServerProcess, space: str, kind: Kind
) -> None:
    client = run(mortal_server, space=space)
    later = client if kind.reconnects else run(mortal_server, space=space)
    with Rest(mortal_server.url, space=space, key=KEY) as rest:
        accounts = Accounts(rest)
        client.subscribe("loyal", accounts.selection)
        ids = accounts.open(2)
        before = client.take(3)
        client.finish(before[0])
        accounts.wait_for_lag("loyal", 2)
        mortal_server.restart()
        if not kind.reconnects:
            client.wait()
            later.subscribe("loyal", accounts.selection)
        more = accounts.open(1)

        again: list[Received] = []
        while not {*ids[1:], *more} <= set(_ids(again)):
            again.append(later.next())
        # A position is on disk some time after its acknowledgement: the first may come again.
        assert [each for each in _ids(again) if each in ids] in (ids, ids[1:])
        assert [each for each in _ids(again) if each in more] == more
        # What came before the kill and was not finished may hold back all behind it.
        for event in [*again, *(before[1:] if kind.reconnects else ())]:
            later.finish(event)
        accounts.wait_for_lag("loyal", 0)


@for_each(JAVA)  # it connects again at once, before the server has seen the end
def test_a_connection_is_cut_while_events_are_handled(
    run: Run, server: ServerProcess, space: str, accounts: Accounts
) -> None:
    ids = accounts.open(2)
    with Relay(server.stomp_port) as relay:
        client = run(server, space=space, stomp_port=relay.port)
        client.subscribe("patched", accounts.selection)
        before = client.take(3)
        client.finish(before[0])
        accounts.wait_for_lag("patched", 2)
        relay.cut()
        again = client.take(2)
        assert _ids(again) == ids[1:]
        assert relay.connections == 2
        # A handler that had begun before the cut finishes after it.
        for event in (before[1], *again, before[2]):
            client.finish(event)
        accounts.wait_for_lag("patched", 0)
        more = accounts.open()
        assert _ids([client.next()]) == more
        client.close()


@for_each(NODE)  # it subscribes again in another order: numbers come first in its objects
def test_a_late_acknowledgement_is_not_taken_for_another_subscriber(
    run: Run, server: ServerProcess, space: str, accounts: Accounts
) -> None:
    with Relay(server.stomp_port) as relay:
        client = run(server, space=space, stomp_port=relay.port)
        for subscriber_id in ("slow", "7"):
            client.subscribe(subscriber_id, accounts.selection)
        accounts.open()
        before = {event.subscriber_id: event for event in client.take(2)}
        relay.cut()
        again = {event.subscriber_id: event for event in client.take(2)}
        client.finish(before["slow"])
        client.finish(again["slow"])
        # On one connection, the server takes one after the other.
        accounts.wait_for_lag("slow", 0)
        assert accounts.lag("7") == 1
        client.finish(before["7"])
        client.finish(again["7"])
        accounts.wait_for_lag("7", 0)
        client.close()
