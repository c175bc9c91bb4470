"""A view whose processes, and whose rebuilds, are killed a hundred times at random moments.

Two processes feed it, a third rebuilds it again and again; events happen all the time. After every
kill each generation is compared with a fold of the log, up to where it says that it has come.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from eventuary.views.generation import live
from tests.acceptance.conftest import Start
from tests.torture.conftest import Begin
from tests.torture.ledger_judge import Happened, Judged, judge_mongodb, judge_sqlite
from tests.torture.ledger_process import VARIABLE, storage_at
from tests.torture.run import Run
from tests.views.ledger import Ledger

pytestmark = pytest.mark.torture

_KILLS = 100

#: Seconds in which the kills are over, and in which all comes to rest.
_LONGEST = 600
_PATIENCE = 240

_BRANCHES = 5

#: Seconds between two accounts: the judge folds the whole log after each kill.
_BETWEEN_WRITES = 0.05


class _Victim:
    """A process that is started and killed."""

    def __init__(self, *arguments: str, store: str, storage: str) -> None:
        self._command = [sys.executable, "-m", *(each.format(store=store) for each in arguments)]
        self._environment = {**os.environ, VARIABLE: storage}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.DEVNULL
            )

    def kill(self) -> bool:
        """Kill it; return whether it was alive."""
        if self._process is None:
            return False
        was_alive = self._process.poll() is None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return was_alive

    def wait(self, seconds: float) -> int:
        assert self._process is not None
        return self._process.wait(seconds)


class _Writer(threading.Thread):
    """Opens accounts, pays into them and closes some, until it is stopped."""

    def __init__(self, url: str, run: Run) -> None:
        super().__init__()
        self._url = url
        self._chance = run.chance
        self._stop_asked = threading.Event()
        self.written = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with httpx.Client(base_url=self._url, timeout=30) as http:
                while not self._stop_asked.wait(_BETWEEN_WRITES):
                    self._write(http)
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.failure = error

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def _write(self, http: httpx.Client) -> None:
        branch = f"branch-{self._chance.randrange(_BRANCHES)}"
        amounts = [self._chance.randrange(100) for _ in range(self._chance.randrange(6))]
        events = [("Opened", {"branch": branch, "owner": "Ada"})]
        events += [("Paid", {"branch": branch, "amount": str(amount)}) for amount in amounts]
        if self._chance.random() < 0.2:
            events.append(("Closed", {"branch": branch}))
        first = self._chance.randint(1, len(events))
        answer = http.post(
            "/entity/default", json={"entityTypeName": "Account", "events": _new(events[:first])}
        )
        answer.raise_for_status()
        if events[first:]:
            body = {
                "entityVersion": answer.json()["entityVersion"],
                "events": _new(events[first:]),
            }
            target = f"/entity/default/Account/{answer.json()['entityId']}"
            http.post(target, json=body).raise_for_status()
        self.written += len(events)


def _new(events: list[tuple[str, dict[str, str]]]) -> list[dict[str, str]]:
    return [
        {"eventType": kind, "eventData": msgspec.json.encode(data).decode()}
        for kind, data in events
    ]


def _log_reader(url: str) -> Callable[[], list[Happened]]:
    """Return what reads the log to its present head; what was read once is kept."""
    known: list[Happened] = []

    class Page(msgspec.Struct):
        events: list[Happened]
        position: int

    decoder = msgspec.json.Decoder(Page)
    position = 0

    def read() -> list[Happened]:
        nonlocal position
        while True:
            answer = httpx.get(
                f"{url}/v1/spaces/default/log?after={position}&limit=5000", timeout=30
            )
            page = decoder.decode(answer.content)
            known.extend(page.events)
            if page.position == position:
                return known
            position = page.position

    return read


@pytest.mark.parametrize("kind", ["sqlite", "mongodb"])
def test_views(
    start: Start, begin: Begin, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    run: Run = begin(_LONGEST)
    server = start()
    store = f"{server.url}?stomp_port={server.stomp_port}"
    if kind == "sqlite":
        path = tmp_path / "ledger.db"
        storage = f"sqlite:///{path}"
    else:
        storage = request.getfixturevalue("mongodb_database")
    read_log = _log_reader(server.url)
    judged: Judged = {}

    def judge() -> dict[int, int]:
        if kind == "mongodb":
            return judge_mongodb(storage, read_log, judged)
        return judge_sqlite(path, read_log, judged)

    feeder = ("tests.torture.ledger_process", "{store}")
    rebuilder = (
        *("eventuary", "views", "rebuild", "ledger", "--store", "{store}"),
        *("--app", "tests.torture.ledger_process:views"),
    )
    victims = [
        _Victim(*arguments, store=store, storage=storage)
        for arguments in (feeder, feeder, rebuilder)
    ]
    asyncio.run(_open(storage))
    writer = _Writer(server.url, run)
    writer.start()
    kills, wanted = 0, _KILLS * run.share
    try:
        while kills < wanted and not run.over:
            for each in victims:
                each.start()
            time.sleep(run.chance.expovariate(1 / 0.6))
            kills += run.chance.choice(victims).kill()
            held = judge()
            if run.quiet:
                run.say(f"{kills} kills, {writer.written} events, by generation: {held}")
        assert kills >= wanted, f"{kills} kills in {run.elapsed:.0f} s"
        writer.stop()
        for each in victims:
            each.start()
        assert victims[2].wait(_PATIENCE) == 0
        generation = _comes_to_rest(storage, judge, writer.written)
    finally:
        for each in victims:
            each.kill()
        writer.stop()
    run.say(f"{kills} kills, {writer.written} events; generation {generation} has them all")


async def _open(storage: str) -> int:
    """Open the view, if nobody has; return its live generation."""
    opened = storage_at(storage)
    found = live(await Ledger(opened).kept.generations())
    number = await Ledger(opened).kept.open_live() if found is None else found.number
    await opened.close()
    return number


def _comes_to_rest(storage: str, judge: Callable[[], dict[int, int]], written: int) -> int:
    """Return the live generation when it holds all that happened."""
    end = time.monotonic() + _PATIENCE
    while True:
        number = asyncio.run(_open(storage))
        held = judge().get(number)
        if held == written:
            return number
        assert time.monotonic() < end, f"generation {number} has {held} of {written} events"
        time.sleep(0.2)
