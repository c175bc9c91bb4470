"""``eventuary views``: what it lists, how it rebuilds, what it says when it can't."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.running import DEADLINE, RunningServer, environment, run, serving

APPLICATION = """
import sqlite3
import msgspec
from eventuary import Event
from eventuary.views import View, ViewContext
from eventuary.views.sql import SqlDocuments

class CounterEvent(Event, entity="Counter"): ...
class Counted(CounterEvent):
    by: int

class Count(msgspec.Struct):
    name: str
    total: int = 0

storage = SqlDocuments("sqlite:///views.db")
counts = View("counts", storage)
counters = counts.collection("counters", Count)

@counters.on(Counted)
def count(counter: Count, event: Counted, context: ViewContext) -> None:
    counter.total += event.by

def several():
    return [counts, View("others", storage)]
"""

DAWDLE = """
def dawdle():
    import pathlib
    import time
    print("here", flush=True)
    while not pathlib.Path("interrupted").exists():
        time.sleep(0.01)
"""

APP = "application:counts"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    (tmp_path / "application.py").write_text(APPLICATION)
    with serving(cwd=tmp_path) as running:
        yield running


def _store(server: RunningServer) -> str:
    return f"{server.url}?stomp_port={server.stomp_port}"


def _count(server: RunningServer, times: int) -> None:
    for _ in range(times):
        body = {
            "entityTypeName": "Counter",
            "events": [{"eventType": "Counted", "eventData": json.dumps({"by": 2})}] * 10,
        }
        httpx.post(f"{server.url}/entity/default", json=body, timeout=30).raise_for_status()


def _views(
    server: RunningServer, cwd: Path, *arguments: str, app: str = APP
) -> "subprocess.CompletedProcess[str]":
    return run("views", *arguments, "--app", app, "--store", _store(server), cwd=cwd)


def test_a_view_is_rebuilt_and_listed(server: RunningServer, tmp_path: Path) -> None:
    _count(server, 30)
    listed = _views(server, tmp_path, "list")
    assert listed.returncode == 0, listed
    assert "never fed" in listed.stdout
    rebuilt = _views(server, tmp_path, "rebuild", "counts")
    assert rebuilt.returncode == 0, rebuilt
    assert rebuilt.stdout.startswith(
        "View counts is rebuilt: generation 2 is live, after 300 events in "
    )
    listed = _views(server, tmp_path, "list")
    heading, line = listed.stdout.splitlines()
    assert heading.split() == [
        "view", "generation", "lag", "dead", "letters", "processes", "rebuild"
    ]  # fmt: skip
    assert line.split() == ["counts", "2", "0", "0", "0"]


def test_the_status_of_a_view_that_nobody_feeds_is_a_failure(
    server: RunningServer, tmp_path: Path
) -> None:
    assert _views(server, tmp_path, "rebuild", "counts").returncode == 0
    _count(server, 1)
    status = _views(server, tmp_path, "status", "counts")
    assert status.returncode == 1, status
    lines = {line[:14].strip(): line[14:].strip() for line in status.stdout.splitlines()}
    assert lines == {
        "view": "counts",
        "generation": "2",
        "lag": "10 events",
        "dead letters": "0",
        "fed by": "0 processes",
        "rebuild": "none",
    }


def test_an_interrupted_rebuild_says_how_to_go_on(server: RunningServer, tmp_path: Path) -> None:
    # An update that waits until then: it is interrupted in the middle, and not before or behind.
    slow = APPLICATION.replace("    counter.total", "    dawdle()\n    counter.total")
    (tmp_path / "slow.py").write_text(slow + DAWDLE)
    _count(server, 30)
    process = subprocess.Popen(
        [sys.executable, "-m", "eventuary", "views", "rebuild", "counts", "--app", "slow:counts",
         "--store", _store(server)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    (tmp_path / "interrupted").touch()
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("Interrupted after ")
    assert errors.splitlines()[-1].endswith("the same command goes on from there.")
    assert "Traceback" not in errors
    rebuilt = _views(server, tmp_path, "rebuild", "counts")
    assert rebuilt.returncode == 0, rebuilt
    listed = _views(server, tmp_path, "status", "counts")
    assert "generation    2" in listed.stdout


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("application", "--app: 'application' is not MODULE:NAME"),
        ("nowhere:views", "--app: nowhere: No module named 'nowhere'"),
        ("application:nothing", "--app: application has no 'nothing'"),
        ("application:APP", "--app: application has no 'APP'"),
        ("application:Count", "--app: application:Count: TypeError: Missing required argument"),
        ("application:storage", "--app: application:storage is SqlDocuments, not a View"),
    ],
)
def test_what_is_no_view_is_named(
    server: RunningServer, tmp_path: Path, app: str, said: str
) -> None:
    result = _views(server, tmp_path, "list", app=app)
    assert result.returncode == 2, result
    assert result.stderr.startswith(f"eventuary: {said}")
    assert len(result.stderr.splitlines()) == 1


def test_an_unknown_name_lists_what_there_is(server: RunningServer, tmp_path: Path) -> None:
    result = _views(server, tmp_path, "status", "count", app="application:several")
    assert result.returncode == 2
    assert result.stderr == "eventuary: NAME: no view 'count' here; there are: counts, others\n"
