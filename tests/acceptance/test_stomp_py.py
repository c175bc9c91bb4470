"""stomp.py, the usual STOMP library of Python, unmodified: all three versions of the protocol."""

import json
import queue

import msgspec
import pytest
import stomp
from stomp.utils import Frame

from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import Body
from tests.acceptance.waiting import PATIENCE, wait_until


class Listener(stomp.ConnectionListener):  # type: ignore[misc] # the library has no types
    """Puts what comes into queues."""

    def __init__(self) -> None:
        self.messages: queue.Queue[Frame] = queue.Queue()
        self.receipts: queue.Queue[str] = queue.Queue()
        self.errors: queue.Queue[Frame] = queue.Queue()

    def on_message(self, frame: Frame) -> None:
        """An event."""
        self.messages.put(frame)

    def on_receipt(self, frame: Frame) -> None:
        """An answer to a frame."""
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame: Frame) -> None:
        """A refusal."""
        self.errors.put(frame)


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_subscribe_acknowledge_and_come_back(
    server: ServerProcess, rest: Rest, version: str
) -> None:
    kind = getattr(stomp, f"StompConnection{version}")
    destination = json.dumps(
        {
            "subscriberId": f"stomp.py-{version}",
            "space": rest.space,
            "entityTypesAndEvents": {"Order": ["Ordered"]},
        }
    )

    def receive(count: int) -> list[str]:
        options = {} if version == "10" else {"heartbeats": (0, 20_000)}
        connection = kind([("127.0.0.1", server.stomp_port)], **options)
        listener = Listener()
        connection.set_listener("", listener)
        connection.connect("id", "secret", wait=True)
        connection.subscribe(destination, id="1", ack="client-individual", receipt="subscribed")
        assert listener.receipts.get(timeout=PATIENCE) == "subscribed"
        ids = []
        for _ in range(count):
            frame = listener.messages.get(timeout=PATIENCE)
            assert frame.headers["destination"] == destination
            ids.append(msgspec.json.decode(frame.body, type=Body).id)
            if version == "12":
                connection.ack(frame.headers["ack"])
            elif version == "11":
                connection.ack(frame.headers["message-id"], "1")
            else:
                connection.ack(frame.headers["message-id"])
        connection.disconnect(receipt="bye")
        wait_until(lambda: not connection.is_connected(), "it is gone")
        assert listener.errors.empty()
        return ids

    first = rest.create("Order", [Event("Ordered", '{"a": "ä\\n"}')] * 50)
    assert receive(50) == first.event_ids
    second = rest.create("Order", [Event("Ordered")] * 3)
    assert receive(3) == second.event_ids


def test_writing_over_stomp_is_refused(server: ServerProcess) -> None:
    connection = stomp.Connection12([("127.0.0.1", server.stomp_port)], reconnect_attempts_max=1)
    listener = Listener()
    connection.set_listener("", listener)
    connection.connect("id", "secret", wait=True)
    connection.send("/queue/a", "hello", receipt="sent")
    assert "REST" in str(listener.errors.get(timeout=PATIENCE))
    wait_until(lambda: not connection.is_connected(), "the connection closes")
