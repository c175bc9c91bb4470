"""A network that stalls and cuts, and processes that are stopped and continued in the middle.

Between the crew and the server are proxies of the test's own. Whatever they do to connections:
clients come again, and nothing is lost, doubled, or out of order.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.acceptance.order import check_order, missing
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.waiting import wait_until
from tests.torture.attempts import ACCOUNT, CHANGED, MARKED, Verdict
from tests.torture.conftest import Begin, Start
from tests.torture.crew import DELIVERY, Crew
from tests.torture.proxy import Proxy
from tests.torture.run import Run
from tests.torture.subscriber_pool import SubscriberPool

pytestmark = pytest.mark.torture

#: Clients that take nothing for so many seconds are cut; stalls are shorter, and longer.
_LIMITS = ("--limit", "write_timeout=2")


class Troubles:
    """What can be done to everybody, and how it is undone."""

    def __init__(
        self, run: Run, server: ServerProcess, proxies: tuple[Proxy, Proxy], pool: SubscriberPool
    ) -> None:
        self.done: Counter[str] = Counter()
        self._chance = run.chance
        self._server = server
        self._proxies = proxies
        self._pool = pool

    def one(self) -> None:
        """Do one of them."""
        chance, process = self._chance, self._server.process
        http, stomp = self._proxies
        share = chance.choice((0.2, 0.5, 1.0))
        troubles: dict[str, Callable[[], None]] = {
            "calls cut": lambda: http.cut(share),
            "sessions cut": lambda: stomp.cut(share),
            "calls forgotten": lambda: http.forget(share),
            "sessions forgotten": lambda: stomp.forget(share),
            "stalls": chance.choice(self._proxies).stall,
            "dribbles": chance.choice(self._proxies).dribble,
            "server stopped": lambda: process.send_signal(signal.SIGSTOP),
            "subscriber stopped": lambda: self._pool.signal(chance.randrange(9), signal.SIGSTOP),
            "subscriber killed": lambda: self._pool.signal(chance.randrange(9), signal.SIGKILL),
        }
        name = chance.choice(list(troubles))
        troubles[name]()
        self.done[name] += 1

    def heal(self) -> None:
        """Undo all."""
        self._server.process.send_signal(signal.SIGCONT)
        for proxy in self._proxies:
            proxy.flow()
        self._pool.go_on()
        self._pool.fill()


def test_network(start: Start, begin: Begin) -> None:
    run = begin(70)
    server = start(*DELIVERY, *_LIMITS)
    seed = str(run.seed)
    with Proxy(server.http_port, seed) as http, Proxy(server.stomp_port, seed) as stomp:
        crew = Crew(run, f"http://127.0.0.1:{http.port}", stomp.port, pace=0.02)
        pool = SubscriberPool(stomp.port, "pool", (ACCOUNT, (MARKED, CHANGED)), 2)
        troubles = Troubles(run, server, (http, stomp), pool)
        crew.start()
        try:
            pool.fill()
            while not run.over:
                crew.wait_for_work(run.chance.randint(1, 100))
                for _ in range(run.chance.randint(1, 3)):
                    troubles.one()
                    time.sleep(run.chance.choice((0, 0, 0.1, 0.3, 1, 2.5)))
                troubles.heal()
                crew.judge_now(server.url)
                if run.quiet:
                    run.say(crew.score)
            crew.finish(server)
            _finish(run, crew, pool)
            run.say(", ".join(f"{count} × {name}" for name, count in troubles.done.items()))
        finally:
            troubles.heal()
            crew.stop()
            pool.close()
    assert crew.ledger.count(Verdict.UNKNOWN) > 0, "no cut hit a call that was under way"
    assert pool.ends > 0, "no subscriber process was killed or cut off"
    assert server.terminate() == 0


def _finish(run: Run, crew: Crew, pool: SubscriberPool) -> None:
    """Wait until the processes too have got everything, and judge them."""
    stored: dict[str, list[str]] = {}
    for event in crew.judge.events:
        if event.entity_type == ACCOUNT:
            stored.setdefault(event.entity_id, []).append(event.id)

    def done() -> bool:
        pool.fill()
        lost = len(missing(list(pool.journal.deliveries), stored))
        if run.quiet:
            run.say(f"{lost} events are on their way to processes")
        return not lost

    wait_until(done, "all is delivered to processes", patience=60, every=0.2)
    check_order(pool.journal.deliveries, stored, hint=run.hint)
