"""S7: two subscribers with different names each get every event."""

from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import ServerProcess


def test_each_gets_every_event(server: ServerProcess, rest: Rest) -> None:
    types = {"Order": ["Ordered"]}
    ids = [rest.create("Order", [Event("Ordered")]).event_ids[0] for _ in range(40)]
    with server.connect() as one, server.connect() as other:
        one.subscribe("one", types, space=rest.space)
        other.subscribe("other", types, space=rest.space)
        ids += [rest.create("Order", [Event("Ordered")]).event_ids[0] for _ in range(40)]
        of_one, of_other = one.take(80), other.take(80)

    assert {event.id for event in of_one} == {event.id for event in of_other} == set(ids)
    tokens = {event.event_token for event in of_one} | {event.event_token for event in of_other}
    assert len(tokens) == 160, "the same event through another subscriber id is another token"


def test_two_on_one_connection(server: ServerProcess, rest: Rest) -> None:
    types = {"Order": ["Ordered"]}
    with server.connect() as client:
        client.subscribe("one", types, space=rest.space, name="1")
        client.subscribe("other", types, space=rest.space, name="2")
        created = rest.create("Order", [Event("Ordered")])
        came: set[str] = set()
        # Over several servers one may come again, if the machine stands still.
        while came != {"1", "2"}:
            message = client.next()
            client.ack(message)
            assert [message.event.id] == created.event_ids
            came.add(message.frame.headers["subscription"])


def test_a_slow_subscriber_slows_only_itself(server: ServerProcess, rest: Rest) -> None:
    types = {"Order": ["Ordered"]}
    with (
        server.connect(receive_buffer=4096) as slow,
        server.connect() as quick,
    ):
        slow.subscribe("slow", types, space=rest.space)
        quick.subscribe("quick", types, space=rest.space)
        # More than all buffers take, in few writes: ``slow`` is given up if they take a minute.
        filler = "x" * 20_000
        sent = [
            event_id
            for _ in range(8)
            for event_id in rest.create("Order", [Event("Ordered", filler)] * 100).event_ids
        ]
        assert {event.id for event in quick.take(800)} == set(sent)
        assert {event.id for event in slow.take(800)} == set(sent)
