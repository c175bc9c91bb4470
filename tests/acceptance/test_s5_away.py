"""S5: events that occur while the subscriber is away arrive when it returns, in order, all."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.acceptance.conftest import Start
from tests.acceptance.order import Delivery, check_order, missing
from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.waiting import wait_until

_TYPES = ("Opened", "Changed")


class Subscriber:
    """The subscriber process, and what it has printed."""

    def __init__(self, server: ServerProcess) -> None:
        self.deliveries: list[Delivery] = []
        self._subscribed = threading.Event()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.acceptance.subscriber_process",
                str(server.stomp_port),
                "s5",
                "Account",
                *_TYPES,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._subscribed.wait(30)

    def kill(self) -> None:
        """``kill -9``, and take what it had still printed."""
        self._process.kill()
        self.wait()

    def wait(self) -> None:
        """Wait for its end."""
        self._process.wait(30)
        self._reader.join(30)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line == "subscribed\n":
                    self._subscribed.set()
                elif line.endswith("\n"):
                    self.deliveries.append(Delivery(*line.split()))


@contextmanager
def _subscribing(server: ServerProcess) -> Iterator[Subscriber]:
    subscriber = Subscriber(server)
    try:
        yield subscriber
    finally:
        subscriber.kill()


class Accounts:
    """Entities that are appended to, round after round."""

    def __init__(self) -> None:
        self.stored: dict[str, list[str]] = {}

    def append(self, server: ServerProcess, rounds: int) -> None:
        """Append two events to each of ten entities, so many times."""
        with Rest(server.url) as rest:
            for _ in range(rounds):
                for number in range(10):
                    entity_id = f"account-{number}"
                    ids = self.stored.setdefault(entity_id, [])
                    events = [Event(_TYPES[bool(ids)]), Event("Changed")]
                    ids += (
                        rest.update("Account", entity_id, ids[-1], events)
                        if ids
                        else rest.create("Account", events, entity_id=entity_id)
                    ).event_ids


def _wait_for_all(all_deliveries: list[Delivery], now: Subscriber, accounts: Accounts) -> None:
    wait_until(
        lambda: not missing([*all_deliveries, *now.deliveries], accounts.stored),
        "everything arrives",
    )


def test_the_subscriber_is_killed(start: Start) -> None:
    server, accounts = start(), Accounts()
    before: list[Delivery] = []
    with _subscribing(server) as subscriber:
        accounts.append(server, 3)
        wait_until(lambda: len(subscriber.deliveries) > 20, "some arrive")
    before += subscriber.deliveries
    accounts.append(server, 5)

    with _subscribing(server) as subscriber:
        _wait_for_all(before, subscriber, accounts)
    check_order([*before, *subscriber.deliveries], accounts.stored)


def test_the_server_is_killed_and_restarted(start: Start) -> None:
    server, accounts = start(), Accounts()
    with _subscribing(server) as subscriber:
        accounts.append(server, 3)
        wait_until(lambda: len(subscriber.deliveries) > 20, "some arrive")
        server.kill()
        subscriber.wait()
    before = subscriber.deliveries
    server.start()
    accounts.append(server, 5)

    with _subscribing(server) as subscriber:
        _wait_for_all(before, subscriber, accounts)
    check_order([*before, *subscriber.deliveries], accounts.stored)


def test_both_are_killed_while_events_occur(start: Start) -> None:
    server, accounts = start(), Accounts()
    before: list[Delivery] = []
    for _ in range(2):
        with _subscribing(server) as subscriber:
            accounts.append(server, 3)
            seen = len(missing(before, accounts.stored)) // 2
            wait_until(lambda: len(subscriber.deliveries) > seen, "some arrive")  # noqa: B023
        before += subscriber.deliveries
        accounts.append(server, 2)
        server.restart()

    with _subscribing(server) as subscriber:
        _wait_for_all(before, subscriber, accounts)
    check_order([*before, *subscriber.deliveries], accounts.stored)


def test_an_orderly_restart_repeats_nothing_that_was_acknowledged(start: Start) -> None:
    server, accounts = start(), Accounts()
    with _subscribing(server) as subscriber:
        accounts.append(server, 3)
        _wait_for_all([], subscriber, accounts)
        with Rest(server.url) as rest:
            path = "/v1/spaces/default/subscriptions/s5"
            wait_until(lambda: rest.http.get(path).json()["lag"] == 0, "all is acknowledged")
        assert server.terminate() == 0
        subscriber.wait()
    first = subscriber.deliveries
    server.start()
    accounts.append(server, 1)

    with _subscribing(server) as subscriber:
        _wait_for_all(first, subscriber, accounts)
    assert not set(first) & set(subscriber.deliveries)
    check_order([*first, *subscriber.deliveries], accounts.stored)
