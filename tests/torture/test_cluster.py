"""Three servers over three nodes of NATS: nodes and servers are killed, one at a time, under load.

Nothing acknowledged is lost, an entity's events come in order, a swimlane has one consumer at a
time, what was stored as acknowledged does not come again, and appends go on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.acceptance.consumer import Consumer
from tests.acceptance.order import Delivery, check_order, missing
from tests.acceptance.rest_client import Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.several_servers import SeveralServers
from tests.acceptance.waiting import wait_until
from tests.nats.cluster import NatsCluster
from tests.nats.fixtures import own_nats_cluster
from tests.nats.node import Node
from tests.torture.appender import Appender
from tests.torture.attempts import ACCOUNT, CHANGED, MARKED, Ledger, Verdict
from tests.torture.conftest import Begin
from tests.torture.lane_judge import Journal, check_one_at_a_time, check_stored_stays
from tests.torture.log_judge import Logged, LogJudge
from tests.torture.onlooker import Onlooker
from tests.torture.run import Run
from tests.torture.writer import Accounts, Writer

pytestmark = pytest.mark.torture

_SECONDS = 60

_SUBSCRIBER = "all"
_TYPES = {ACCOUNT: (MARKED, CHANGED)}
_STREAMS = ("eventuary-log", "eventuary-state")

#: Seconds within which appends go on, a node that was started has caught up, and all is delivered
#: in the end. When the leader of a stream is killed the others elect a new one between 4 and 9
#: seconds after they have heard of it last, which no setting changes; a busy machine may add much.
_PATIENCE = 120.0

#: Appends, of each kind of break, after which they are said to go on.
_ENOUGH = 150

__all__ = ["own_nats_cluster"]


class Load:
    """Writers on all servers, who contend for the same accounts, and consumers on all servers."""

    def __init__(self, run: Run, servers: SeveralServers, onlooker: ServerProcess) -> None:
        self.ledger = Ledger()
        self.journal = Journal()
        self.onlooker = Onlooker(onlooker, _SUBSCRIBER)
        self._run = run
        self._servers = servers.each
        accounts = Accounts()
        # JetStream keeps a snapshot behind the events that it came with, not in one step with
        # them: a kill between the two loses it, which is no loss, and which the judge doesn't know.
        self.writers = [
            Writer(
                server.url, number, str(run.seed), self.ledger, accounts, pace=0.05, snapshots=0.0
            )
            for number, server in enumerate([*servers.each, *servers.each])
        ]
        self.consumers = [
            Consumer(server, _SUBSCRIBER, _TYPES, self.journal.record) for server in servers.each
        ]
        for writer in self.writers:
            writer.start()

    @property
    def acknowledged(self) -> int:
        """How many appends were acknowledged."""
        return self.ledger.count(Verdict.ACKNOWLEDGED)

    @property
    def score(self) -> str:
        """Where they stand, in a few words."""
        appends = ", ".join(f"{self.ledger.count(each)} {each}" for each in Verdict)
        return f"appends: {appends}; {len(self.journal.received)} deliveries"

    def goes_on(self) -> float:
        """Wait for more appends; return the longest time, in seconds, in which there were none."""
        last_at = time.monotonic()
        last, longest = self.acknowledged, 0.0
        goal = last + _ENOUGH

        def enough() -> bool:
            nonlocal last, last_at, longest
            now, count = time.monotonic(), self.acknowledged
            longest = max(longest, now - last_at)
            if count > last:
                last, last_at = count, now
            self.check()
            return count >= goal

        wait_until(enough, f"{_ENOUGH} more appends are acknowledged", patience=_PATIENCE)
        return longest

    def check(self) -> None:
        """Raise what one of them has come upon."""
        workers: list[Writer | Consumer | Onlooker]
        workers = [*self.writers, *self.consumers, self.onlooker]
        for each in workers:
            if each.failure is not None:
                raise each.failure

    def stop_writing(self) -> None:
        """Let each writer have its last answer."""
        for writer in self.writers:
            writer.stop()
        self.check()

    def stop(self) -> None:
        """End all who still work."""
        for writer in self.writers:
            writer.stop()
        for consumer in self.consumers:
            consumer.stop()
        self.journal.stop()
        self.onlooker.stop()

    def judge(self, server: ServerProcess) -> None:
        """Judge it all, by what a server tells that was started when all had been answered."""
        hint = self._run.hint
        judge = LogJudge(self.ledger, hint)
        with Rest(server.url) as rest:
            judge.read(rest)
        appender = Appender(server.url, "judge", self.ledger)
        judge.check_finds(appender)
        appender.close()
        stored: dict[str, list[str]] = {}
        logged: dict[int, list[int]] = {}
        for event in judge.events:
            stored.setdefault(event.entity_id, []).append(event.id)
            logged.setdefault(event.swimlane, []).append(event.position)
        try:
            wait_until(
                lambda: not missing(self.journal.deliveries, stored),
                "everything is delivered",
                patience=_PATIENCE,
                every=0.5,
            )
        except AssertionError as error:
            error.add_note(self._stalled(judge.events))
            raise
        ends = {swimlane: positions[-1] for swimlane, positions in logged.items()}
        wait_until(
            lambda: all(
                self.onlooker.seen[-1].positions[swimlane] >= end for swimlane, end in ends.items()
            ),
            "everything is stored as acknowledged",
            patience=_PATIENCE,
        )
        self.stop()
        check_order(self.journal.deliveries, stored, hint=hint)
        received, gaps = self.journal.received, self.journal.gaps
        rewinds = check_one_at_a_time(received, logged, gaps=gaps, hint=hint)
        check_stored_stays(received, self.onlooker.seen, gaps=gaps, hint=hint)
        again = len(self.journal.received) - len(judge.events)
        self._run.say(
            f"judged; {self.score}, {again} of them again in {rewinds} rewinds; "
            f"{len(self.onlooker.seen)} looks at storage; stood still {len(gaps)} times"
        )

    def _stalled(self, events: Sequence[Logged]) -> str:
        """Return what did not come, and what each server says of it."""
        delivered = set(self.journal.deliveries)
        gone = [each for each in events if Delivery(each.entity_id, each.id) not in delivered]
        lines = [
            f"{self.score}; {len(gone)} of {len(events)} did not come; the first of each swimlane:"
        ]
        firsts = {each.swimlane: each for each in reversed(gone)}
        lines += [f"  swimlane {number}: {firsts[number]}" for number in sorted(firsts)]
        for server in self._servers:
            with Rest(server.url) as rest:
                subscription = f"/v1/spaces/{rest.space}/subscriptions/{_SUBSCRIBER}"
                for path in ("/health/ready", subscription):
                    try:
                        answer = rest.http.get(path)
                        lines.append(f"{server.url}{path}: {answer.status_code} {answer.text}")
                    except httpx.TransportError as error:
                        lines.append(f"{server.url}{path}: {error!r}")
            lines.append(server.log[-4000:])
        for consumer in self.consumers:
            lines.append(f"a consumer: {consumer.failure!r}, {consumer.swimlanes}")
        return "\n".join(lines)


class Breaks:
    """What is broken, each time until appends go on; and how long they did not, in seconds."""

    def __init__(self, run: Run, cluster: NatsCluster, servers: SeveralServers, load: Load) -> None:
        self.pauses: dict[str, list[float]] = {}
        self._chance = run.chance
        self._cluster = cluster
        self._servers = servers
        self._load = load

    @property
    def each(self) -> list[Callable[[], None]]:
        """One of each kind."""
        return [self.follower, self.leader_of_log, self.leader_of_state, self.server]

    def follower(self) -> None:
        """A node that leads neither stream."""
        leading = [self._cluster.leader_of(stream) for stream in _STREAMS]
        victim = next(node for node in self._cluster.nodes if node not in leading)
        self._node("a follower", victim)

    def leader_of_log(self) -> None:
        """The node that leads the log."""
        victim = self._cluster.leader_of("eventuary-log")
        self._node("the log's leader", victim)

    def leader_of_state(self) -> None:
        """The node that leads the state: positions and leases."""
        victim = self._cluster.leader_of("eventuary-state")
        self._node("the state's leader", victim)

    def server(self) -> None:
        """One of the servers."""
        victim = self._chance.choice(self._servers.each)
        victim.kill()
        self._note("a server")
        victim.start()

    def _node(self, name: str, victim: Node) -> None:
        victim.kill()
        self._note(name)
        victim.start()
        wait_until(
            lambda: self._cluster.is_whole(*_STREAMS),
            "the node has caught up",
            patience=_PATIENCE,
            every=0.2,
        )

    def _note(self, name: str) -> None:
        self.pauses.setdefault(name, []).append(self._load.goes_on())

    def __str__(self) -> str:
        return "no appends for, in s: " + "; ".join(
            f"{name} killed: {', '.join(f'{each:.1f}' for each in pauses)}"
            for name, pauses in self.pauses.items()
        )


@pytest.fixture
def servers(own_nats_cluster: NatsCluster, tmp_path: Path) -> Iterator[SeveralServers]:
    """Three over the cluster."""
    servers = SeveralServers(tmp_path, own_nats_cluster.url)
    servers.start()
    yield servers
    servers.close()


@pytest.fixture
def onlooker(own_nats_cluster: NatsCluster, tmp_path: Path) -> Iterator[ServerProcess]:
    """A fourth, which nobody writes to or consumes from."""
    server = ServerProcess(tmp_path, "--engine", own_nats_cluster.url)
    server.start()
    yield server
    server.close()


def test_cluster(
    own_nats_cluster: NatsCluster, servers: SeveralServers, onlooker: ServerProcess, begin: Begin
) -> None:
    run = begin(_SECONDS)
    load = Load(run, servers, onlooker)
    breaks = Breaks(run, own_nats_cluster, servers, load)
    try:
        load.goes_on()
        while not breaks.pauses or not run.over:
            for each in run.chance.sample(breaks.each, len(breaks.each)):
                each()
                load.goes_on()
                run.say(f"{breaks}; {load.score}")
        load.stop_writing()
        load.judge(servers.each[0].restart())
    finally:
        load.stop()
    run.say(str(breaks))
