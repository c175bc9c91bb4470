"""S6: connections of one subscriber share the work; killing one hands its part to the other."""

import threading
import time
from collections.abc import Callable, Sequence

from tests.acceptance.order import Delivery, check_order, missing
from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import ConnectionEnded
from tests.acceptance.waiting import PATIENCE, wait_until

_TYPES = {"Account": ["Changed"]}


class Consumer:
    """One connection, read by a thread of its own: records, then acknowledges."""

    def __init__(
        self, server: ServerProcess, space: str, record: Callable[[Delivery, int, "Consumer"], None]
    ) -> None:
        self.count = 0
        self._record = record
        self._stop = threading.Event()
        self._client = server.connect()
        self._client.subscribe("s6", _TYPES, space=space)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Cut the connection in the middle of its work: what it holds is not acknowledged."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    message = self._client.next(patience=0.05)
                except TimeoutError:
                    continue
                event = message.event
                self.count += 1
                self._record(Delivery(event.entity_id, event.id), event.swimlane, self)
                self._client.ack(message)
        except ConnectionEnded:
            return
        finally:
            self._client.close()


class Journal:
    """What all consumers got, in the order in which they got it."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.holders: dict[int, list[Consumer]] = {}
        self._lock = threading.Lock()

    def record(self, delivery: Delivery, swimlane: int, consumer: Consumer) -> None:
        """Note a delivery."""
        with self._lock:
            self.deliveries.append(delivery)
            holders = self.holders.setdefault(swimlane, [])
            if not holders or holders[-1] is not consumer:
                holders.append(consumer)


def _append(rest: Rest, stored: dict[str, list[str]], rounds: int) -> None:
    for _ in range(rounds):
        for number in range(24):
            entity_id = f"account-{number}"
            ids = stored.setdefault(entity_id, [])
            events = [Event("Changed")] * 2
            ids += (
                rest.update("Account", entity_id, ids[-1], events)
                if ids
                else rest.create("Account", events, entity_id=entity_id)
            ).event_ids


def _append_until_all_have_some(
    rest: Rest, stored: dict[str, list[str]], consumers: Sequence[Consumer]
) -> None:
    """Append until each has got a delivery: on servers of their own they share within seconds."""
    end = time.monotonic() + PATIENCE
    while not all(each.count for each in consumers):
        assert time.monotonic() < end, f"some got nothing: {[each.count for each in consumers]}"
        _append(rest, stored, 1)


def test_two_share_and_one_takes_over(server: ServerProcess, rest: Rest) -> None:
    journal, stored = Journal(), dict[str, list[str]]()
    first = Consumer(server, rest.space, journal.record)
    second = Consumer(server, rest.space, journal.record)
    try:
        _append(rest, stored, 6)
        _append_until_all_have_some(rest, stored, [first, second])
        wait_until(lambda: not missing(journal.deliveries, stored), "everything arrives")

        _append(rest, stored, 1)
        first.stop()
        _append(rest, stored, 3)
        wait_until(lambda: not missing(journal.deliveries, stored), "the other takes over")
    finally:
        first.stop()
        second.stop()
    check_order(journal.deliveries, stored)
    assert all(holders[-1] is second for holders in journal.holders.values())
    assert len(journal.holders) == 8


def test_one_who_joins_gets_a_share(server: ServerProcess, rest: Rest) -> None:
    journal, stored = Journal(), dict[str, list[str]]()
    first = Consumer(server, rest.space, journal.record)
    consumers = [first]
    try:
        _append(rest, stored, 2)
        wait_until(lambda: not missing(journal.deliveries, stored), "everything arrives")
        consumers.append(Consumer(server, rest.space, journal.record))
        consumers.append(Consumer(server, rest.space, journal.record))
        _append(rest, stored, 4)
        _append_until_all_have_some(rest, stored, consumers)
        wait_until(lambda: not missing(journal.deliveries, stored), "everything arrives")
    finally:
        for each in consumers:
            each.stop()
    check_order(journal.deliveries, stored)


def test_what_a_dead_consumer_held_is_delivered_again(server: ServerProcess, rest: Rest) -> None:
    stored: dict[str, list[str]] = {}
    _append(rest, stored, 1)
    with server.connect() as dying:
        dying.subscribe("s6", _TYPES, space=rest.space)
        held = [dying.next() for _ in range(48)]
        dying.ack(held[0])
    with server.connect() as heir:
        heir.subscribe("s6", _TYPES, space=rest.space)
        acknowledged = held[0].event
        wanted = sum(map(len, stored.values())) - 1
        events = heir.take(wanted)
        if acknowledged.id in {event.id for event in events}:  # its ACK was cut off with it
            events += heir.take(1)
        heir.expect_silence(0.2)
    deliveries = [Delivery(event.entity_id, event.id) for event in (acknowledged, *events)]
    assert not missing(deliveries, stored)
    check_order(deliveries, stored)
