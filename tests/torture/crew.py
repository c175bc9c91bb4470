"""Everybody who works on a server at the same time, and the judge who looks on."""

import threading

import httpx

from tests.acceptance.rest_client import Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.waiting import wait_until
from tests.torture.appender import Appender
from tests.torture.attempts import ACCOUNT, CHANGED, MARKED, Ledger, Verdict
from tests.torture.log_judge import LogJudge
from tests.torture.mirror import Mirror, check_mirrors
from tests.torture.run import Run
from tests.torture.subscriber import Reaction, Subscriber
from tests.torture.writer import Accounts, Writer

#: Rules of delivery under which failures come again at once, and nothing is parked.
DELIVERY = tuple(
    argument
    for rule in (
        "window=32",
        "ack_timeout=2",
        "max_attempts=1000000",
        "first_pause=0.01",
        "longest_pause=0.1",
    )
    for argument in ("--delivery", rule)
)

#: Seconds within which, when nothing is broken any more, everything has been delivered.
_PATIENCE = 120.0


class Crew:
    """Writers, a subscriber of all events, and one that reacts to some, on two ports."""

    def __init__(
        self, run: Run, url: str, stomp_port: int, *, writers: int = 6, pace: float = 0.01
    ) -> None:
        self.ledger = Ledger()
        self.judge = LogJudge(self.ledger, run.hint)
        self._run = run
        self._mirrors: list[Mirror] = []
        accounts = Accounts()
        seed = str(run.seed)
        self.writers = [
            Writer(url, number, seed, self.ledger, accounts, pace) for number in range(writers)
        ]

        def reaction() -> Reaction:
            mirror = Mirror(url, threading.current_thread().name, self.ledger)
            self._mirrors.append(mirror)
            return mirror.react

        self.subscribers = [
            Subscriber(stomp_port, "all", (ACCOUNT, (MARKED, CHANGED)), seed),
            Subscriber(
                stomp_port, "mirror", (ACCOUNT, (MARKED,)), seed, connections=3, reaction=reaction
            ),
        ]

        self._workers: list[Writer | Subscriber] = [*self.writers, *self.subscribers]

    def start(self) -> None:
        """Let all begin."""
        for each in self._workers:
            each.start()

    def stop(self) -> None:
        """End all who still work."""
        for each in self._workers:
            each.stop()
        for mirror in self._mirrors:
            mirror.close()

    def check(self) -> None:
        """Raise what one of them has come upon."""
        for each in self._workers:
            if each.failure is not None:
                raise each.failure

    def wait_for_work(self, calls: int, *, since: int | None = None, seconds: float = 60) -> None:
        """Return when so many appends have been acknowledged since now, or since there were some.

        Raises AssertionError when that takes longer.
        """
        goal = (self.acknowledged if since is None else since) + calls

        def reached() -> bool:
            self.check()
            if self._run.quiet:
                self._run.say(self.score)
            return self.acknowledged >= goal

        wait_until(reached, f"{calls} more appends are acknowledged", patience=seconds)

    @property
    def acknowledged(self) -> int:
        """How many appends were acknowledged."""
        return self.ledger.count(Verdict.ACKNOWLEDGED)

    @property
    def score(self) -> str:
        """Where they stand, in a few words."""
        deliveries = sum(len(each.journal.deliveries) for each in self.subscribers)
        appends = ", ".join(f"{self.ledger.count(each)} {each}" for each in Verdict)
        return f"appends: {appends}; {deliveries} deliveries"

    def judge_now(self, url: str) -> None:
        """Judge what is stored and where the subscribers stand, while all work on."""
        self.check()
        with Rest(url) as rest:
            self.judge.read(rest)
            for subscriber in self.subscribers:
                subscriber.check_positions(rest, self.judge)

    def finish(self, server: ServerProcess) -> None:
        """Let the writers end and everything be delivered, and judge it all."""
        for writer in self.writers:
            writer.stop()
        for subscriber in self.subscribers:
            subscriber.calm.set()
        with Rest(server.url) as rest:
            self.judge.read(rest)

            def done() -> bool:
                self.check()
                if self._run.quiet:
                    self._run.say(f"the rest is being delivered; {self.score}")
                return all(self._lag(rest, each) == 0 for each in self.subscribers)

            try:
                wait_until(done, "everything is delivered", patience=_PATIENCE, every=0.1)
            except AssertionError:
                print(rest.http.get(f"/v1/spaces/{rest.space}/subscriptions").text)
                raise
            self.judge_now(server.url)
            for subscriber in self.subscribers:
                lost = subscriber.missing(self.judge)
                assert not lost, f"{self.judge.hint}: {subscriber.subscriber_id} never got {lost}"
                subscriber.check_order(self.judge)
            check_mirrors(self.judge)
        appender = Appender(server.url, "judge", self.ledger)
        self.judge.check_finds(appender)
        appender.close()
        self._run.say(f"judged; {self.score}")

    @staticmethod
    def _lag(rest: Rest, subscriber: Subscriber) -> int:
        answer = rest.http.get(f"/v1/spaces/{rest.space}/subscriptions/{subscriber.subscriber_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return 1
        lag: int = answer.json()["lag"]
        return lag
