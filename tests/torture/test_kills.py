"""``kill -9`` at random moments, many times, while everybody works: nothing acknowledged is lost.

Sometimes SIGTERM instead, sometimes a kill while the server starts.
"""

import random
import signal
import threading
import time

import pytest

from tests.acceptance.server_process import DidNotStart, ServerProcess
from tests.torture.attempts import Verdict
from tests.torture.conftest import Begin, Start
from tests.torture.crew import DELIVERY, Crew

pytestmark = pytest.mark.torture


def _end(server: ServerProcess, chance: random.Random) -> None:
    """End it in one way or another."""
    assert server.process.poll() is None, f"it ended by itself; its log:\n{server.log}"
    if chance.random() < 0.2:
        code = server.terminate(chance.choice((signal.SIGTERM, signal.SIGINT)))
        assert code == 0, f"exit code {code}; its log:\n{server.log}"
    else:
        server.kill()


def _kill(server: ServerProcess) -> None:
    server.process.kill()  # whatever runs by then


def _start(server: ServerProcess, chance: random.Random) -> None:
    """Start it; sometimes it is killed before, or just when, it is ready."""
    while chance.random() < 0.2:
        killer = threading.Timer(chance.uniform(0, 1.5), _kill, (server,))
        killer.start()
        try:
            server.start()
        except DidNotStart:
            pass
        finally:
            killer.join()
        server.kill()
    server.start()


def test_kills(start: Start, begin: Begin) -> None:
    run = begin(130)
    server = start(*DELIVERY)
    crew = Crew(run, server.url, server.stomp_port)
    ends = 0
    crew.start()
    try:
        while not run.over:
            for _ in range(run.chance.choice((1, 1, 2, 4))):
                if run.chance.random() < 0.5:
                    crew.wait_for_work(run.chance.randint(1, 100))
                time.sleep(run.chance.uniform(0, 1.5))
                _end(server, run.chance)
                _start(server, run.chance)
                ends += 1
            crew.judge_now(server.url)
            if run.quiet:
                run.say(f"{ends} ends; {crew.score}")
        crew.finish(server)
    finally:
        crew.stop()
    assert crew.ledger.count(Verdict.UNKNOWN) > 0, "no kill hit a call that was under way"
    assert server.terminate() == 0
