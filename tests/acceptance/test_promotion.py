"""Three servers over a PostgreSQL and its replica: the primary is killed, the replica promoted."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.consumer import Consumer
from tests.acceptance.load import ENTITY_TYPE, EVENT_TYPES, Outcome, Writer, check_all
from tests.acceptance.order import Delivery, check_order, missing
from tests.acceptance.several_servers import SeveralServers
from tests.acceptance.waiting import wait_until
from tests.postgres.process import PostgresProcess
from tests.postgres.replica import PostgresReplica

_SWIMLANES = 8


@pytest.fixture
def replica(own_postgres: PostgresProcess) -> Iterator[PostgresReplica]:
    replica = PostgresReplica(own_postgres)
    try:
        replica.start_in_step()
        yield replica
    finally:
        replica.remove()


@pytest.fixture
def servers(
    own_postgres: PostgresProcess, replica: PostgresReplica, tmp_path: Path
) -> Iterator[SeveralServers]:
    hosts = f"127.0.0.1:{own_postgres.port},127.0.0.1:{replica.port}"
    servers = SeveralServers(tmp_path, f"postgresql://postgres@{hosts}/postgres")
    servers.start()
    yield servers
    servers.close()


@pytest.mark.torture
def test_a_promoted_replica_is_gone_on_with(
    servers: SeveralServers, own_postgres: PostgresProcess, replica: PostgresReplica
) -> None:
    """Nothing acknowledged is lost, nothing is there twice, everything arrives in order."""
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    deliveries: list[Delivery] = []
    consumers = [
        Consumer(
            server,
            "several",
            {ENTITY_TYPE: EVENT_TYPES},
            lambda event: deliveries.append(Delivery(event.entity_id, event.id)),
        )
        for server in servers.each
    ]
    # What is under way at the kill is answered when the replica is promoted, and not before.
    writers = [Writer(servers.url, f"w{number}", seed, patience=60) for number in range(6)]
    for writer in writers:
        writer.start()

    def acknowledged() -> int:
        return sum(writer.acknowledged for writer in writers)

    def go_on(batches: int) -> None:
        goal = acknowledged() + batches
        wait_until(
            lambda: acknowledged() >= goal or any(writer.failure for writer in writers),
            f"{batches} more batches are written",
            patience=60,
        )

    def delivered_since(at: float) -> set[int]:
        return {
            swimlane
            for consumer in consumers
            for swimlane, seen in list(consumer.swimlanes.items())
            if seen > at
        }

    try:
        go_on(100)
        own_postgres.kill()
        # Whoever had sent an append waits for what has become of it; others are refused.
        for server in servers.each:
            wait_until(lambda: _readiness(server.url) == 503, "a server is not ready")  # noqa: B023
        replica.promote()
        promoted = time.monotonic()
        go_on(1)
        print(f"appends are taken again {time.monotonic() - promoted:.1f} s after the promotion")
        go_on(60)
        again = time.monotonic()
        wait_until(
            lambda: len(delivered_since(again)) == _SWIMLANES,
            "all swimlanes are delivered again",
            patience=60,
        )
        for server in servers.each:
            wait_until(lambda: _readiness(server.url) == 200, "a server is ready again")  # noqa: B023
    finally:
        for writer in writers:
            writer.stop()
    stored = check_all(servers.url, writers, hint=f"seed {seed}")
    try:
        wait_until(lambda: not missing(deliveries, stored), "everything arrives", patience=60)
    finally:
        for consumer in consumers:
            consumer.stop()
    check_order(deliveries, stored, hint=f"seed {seed}")
    outcomes = {
        batch.outcome
        for writer in writers
        for batches in writer.batches.values()
        for batch in batches
    }
    assert outcomes <= {Outcome.ACKNOWLEDGED, Outcome.REFUSED}, "each request was answered"


def _readiness(url: str) -> int:
    return httpx.get(f"{url}/health/ready", timeout=30).status_code
