"""Three servers over one PostgreSQL: any is killed or paused, the database too; nothing is lost."""

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.consumer import Consumer
from tests.acceptance.load import ENTITY_TYPE, EVENT_TYPES, Writer, check_all
from tests.acceptance.order import Delivery, check_order, missing
from tests.acceptance.rest_client import Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.several_servers import SeveralServers
from tests.acceptance.waiting import wait_until
from tests.postgres.process import PostgresProcess

#: Seconds within which a killed server's swimlanes have moved; and what a busy machine may add.
_MOVED_WITHIN = 5.0
_BUSY = 25.0

_SWIMLANES = 8


def _consumer(server: ServerProcess, deliveries: list[Delivery]) -> Consumer:
    """One of the consumers, whose deliveries are in one list for all."""
    return Consumer(
        server,
        "several",
        {ENTITY_TYPE: EVENT_TYPES},
        lambda event: deliveries.append(Delivery(event.entity_id, event.id)),
    )


@pytest.fixture
def servers(own_postgres: PostgresProcess, tmp_path: Path) -> Iterator[SeveralServers]:
    servers = SeveralServers(tmp_path, own_postgres.url)
    servers.start()
    yield servers
    servers.close()


class Trickle:
    """Appends to one entity of each swimlane, round after round, through one server."""

    def __init__(self, server: ServerProcess) -> None:
        self.stored: dict[str, list[str]] = {}
        self._rest = Rest(server.url)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        self._rest.http.close()

    def _run(self) -> None:
        names = [f"t{number}" for number in range(3 * _SWIMLANES)]
        while not self._stop.wait(0.02):
            # A round is one call, and one sync: however long that takes, each swimlane goes on.
            answer = self._rest.http.post(
                f"/v1/spaces/{self._rest.space}/appends",
                json={"appends": [self._append_to(name) for name in names], "atomic": True},
            )
            assert answer.status_code == 200, answer.text
            for name, outcome in zip(names, answer.json()["outcomes"], strict=True):
                self.stored.setdefault(name, []).extend(outcome["eventIds"])

    def _append_to(self, name: str) -> dict[str, object]:
        ids = self.stored.get(name)
        append: dict[str, object] = {
            "entityTypeName": ENTITY_TYPE,
            "entityId": name,
            "events": [{"eventType": EVENT_TYPES[bool(ids)], "eventData": "{}"}],
        }
        if ids:
            append["entityVersion"] = ids[-1]
        return append


def test_a_killed_servers_swimlanes_move_within_five_seconds(servers: SeveralServers) -> None:
    killed, other, writing = servers.each
    deliveries: list[Delivery] = []
    trickle = Trickle(writing)
    dying, heir = _consumer(killed, deliveries), _consumer(other, deliveries)
    try:
        wait_until(lambda: len(dying.swimlanes) >= 4 and len(heir.swimlanes) >= 4, "the two share")
        killed.kill()
        at = time.monotonic()
        wait_until(
            lambda: sum(seen > at for seen in heir.swimlanes.values()) == _SWIMLANES,
            "the other delivers all swimlanes",
            patience=_MOVED_WITHIN + _BUSY,
        )
        took = max(heir.swimlanes.values()) - at
        print(f"the last swimlane had moved after {took:.1f} s at most")
    finally:
        trickle.stop()
        dying.stop()
        wait_until(lambda: not missing(deliveries, trickle.stored), "everything arrives")
        heir.stop()
    check_order(deliveries, trickle.stored)


@pytest.mark.torture
def test_a_paused_server_that_comes_back_delivers_nothing_that_is_not_its_own(
    servers: SeveralServers,
) -> None:
    paused, other, writing = servers.each
    deliveries: list[Delivery] = []
    trickle = Trickle(writing)
    stale, heir = _consumer(paused, deliveries), _consumer(other, deliveries)
    try:
        wait_until(lambda: len(stale.swimlanes) >= 4 and len(heir.swimlanes) >= 4, "the two share")
        for _ in range(2):
            paused.process.send_signal(signal.SIGSTOP)
            at = time.monotonic()
            wait_until(
                lambda: sum(seen > at for seen in heir.swimlanes.values()) == _SWIMLANES,  # noqa: B023
                "the other delivers all swimlanes",
            )
            paused.process.send_signal(signal.SIGCONT)
            at = time.monotonic()
            wait_until(
                lambda: sum(seen > at for seen in stale.swimlanes.values()) >= 4,  # noqa: B023
                "the one that was paused gets its share again",
            )
    finally:
        trickle.stop()
        wait_until(lambda: not missing(deliveries, trickle.stored), "everything arrives")
        stale.stop()
        heir.stop()
    # One list for all: a swimlane that two servers delivered at once would break its order.
    check_order(deliveries, trickle.stored)


@pytest.mark.torture
def test_servers_are_killed_and_the_database_restarted(
    servers: SeveralServers, own_postgres: PostgresProcess
) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    deliveries: list[Delivery] = []
    consumers = [_consumer(server, deliveries) for server in servers.each]
    writers = [Writer(servers.url, f"w{number}", seed) for number in range(6)]
    for writer in writers:
        writer.start()

    def go_on(batches: int) -> None:
        goal = sum(writer.acknowledged for writer in writers) + batches
        wait_until(
            lambda: (
                sum(writer.acknowledged for writer in writers) >= goal
                or any(writer.failure for writer in writers)
            ),
            f"{batches} more batches are written",
            patience=60,
        )

    try:
        for step in ("kill", "crash", "kill", "stop"):
            go_on(chance.randint(20, 120))
            if step == "kill":
                servers.restart()
            else:
                getattr(own_postgres, step)()
                own_postgres.start()
        go_on(60)
    finally:
        for writer in writers:
            writer.stop()
    stored = check_all(servers.url, writers, hint=f"seed {seed}")
    try:
        left = set[Delivery]()

        def all_have_arrived() -> bool:
            left.update(missing(deliveries, stored))
            left.difference_update(list(deliveries))
            return not left

        wait_until(all_have_arrived, "everything arrives", patience=60, every=0.1)
    finally:
        for consumer in consumers:
            consumer.stop()
    check_order(deliveries, stored, hint=f"seed {seed}")
