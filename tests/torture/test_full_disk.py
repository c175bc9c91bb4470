"""A disk that fills up and empties under load, over and over, at whatever byte it happens to be.

Twice, as in the acceptance tests: with limits on the server's file sizes, and on a small file
system with a ballast that takes what is left of it, where this machine lets us mount one.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.rest_client import Event, Refused, Rest
from tests.acceptance.server_process import DidNotStart, ServerProcess
from tests.acceptance.waiting import wait_until
from tests.torture.conftest import Begin, Start
from tests.torture.crew import DELIVERY, Crew
from tests.torture.run import Run
from tests.torture.small_disk import SmallDisk, mounted

pytestmark = pytest.mark.torture


def _is_refused(rest: Rest) -> bool:
    try:
        rest.create("Probe", [Event("Probed")])
    except Refused as refused:
        if refused.status != 503:
            raise
        return True
    return False


def _limit(run: Run, server: ServerProcess) -> int:
    """Return an offset at which writes will fail: soon, later, or in the middle of a group."""
    database, log = (
        path.stat().st_size
        for path in (server.database, server.database.with_name(server.database.name + "-wal"))
    )
    return run.chance.choice(
        (
            0,
            run.chance.randrange(4096),
            run.chance.randrange(100_000),
            run.chance.randrange(max(log, 1)),
            log + run.chance.randrange(20_000),
            run.chance.randrange(database),
            database + run.chance.randrange(20_000),
        )
    )


def test_full_disk(start: Start, begin: Begin) -> None:
    run = begin(60)
    server = start(*DELIVERY)
    crew = Crew(run, server.url, server.stomp_port)
    rounds = 0
    crew.start()
    try:
        while not run.over:
            crew.wait_for_work(run.chance.randint(1, 100))
            limit = _limit(run, server)
            server.limit_file_size(limit)
            time.sleep(run.chance.uniform(0, 1))
            if limit == 0:
                with Rest(server.url) as rest:
                    wait_until(lambda: _is_refused(rest), "writes fail")
                    assert rest.http.get("/health/live").status_code == 200
                    assert rest.http.get("/health/ready").status_code == 503
                crew.judge_now(server.url)
            if run.chance.random() < 0.2:
                server.restart()  # to a disk that is empty
            else:
                server.limit_file_size(None)
            crew.wait_for_work(1, seconds=30)
            crew.judge_now(server.url)
            rounds += 1
            if run.quiet:
                run.say(f"{rounds} times full; {crew.score}")
        crew.finish(server)
    finally:
        crew.stop()
    assert server.terminate() == 0


def _start_on_full_disk(server: ServerProcess) -> bool:
    """Start it where there is no space: it serves, or says why not in one line."""
    said = len(server.log)
    try:
        server.start()
    except DidNotStart:
        line = server.log[said:]
        # Or killed by who saw it say nothing, in the moment in which it ended.
        assert server.process.returncode in {2, -signal.SIGKILL}, server.process.returncode
        assert str(server.database) in line, line
        assert line.count("\n") == 1, line
        return False
    return True


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of 64 MB."""
    with mounted(tmp_path / "small", 64) as disk:
        yield disk


def test_small_disk(start: Start, begin: Begin, small_disk: SmallDisk) -> None:
    run = begin(40)
    server = start(*DELIVERY, database=small_disk.path / "e.db")
    crew = Crew(run, server.url, server.stomp_port, pace=0.03)
    rounds = refusals = 0
    crew.start()
    try:
        while not run.over and (not rounds or small_disk.ballast > 1_000_000):
            time.sleep(run.chance.uniform(0, 0.5))
            small_disk.fill()
            for _ in range(run.chance.randint(1, 3)):
                time.sleep(run.chance.uniform(0, 0.7))
                small_disk.give(run.chance.choice((0, 4_096, 20_000, 65_536, 200_000)))
            if run.chance.random() < 0.3:
                small_disk.fill()
                server.kill()
                refusals += not _start_on_full_disk(server)
            before = crew.acknowledged
            small_disk.give(1_000_000)
            if server.process.poll() is not None:
                server.start()
            crew.wait_for_work(1, since=before, seconds=30)
            crew.judge_now(server.url)
            rounds += 1
            if run.quiet:
                run.say(f"{rounds} times full, {refusals} starts refused; {crew.score}")
        small_disk.give(small_disk.ballast)
        crew.finish(server)
    finally:
        crew.stop()
    assert server.terminate() == 0
