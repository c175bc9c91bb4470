"""The framework: deciding and rebuilding, beside the `eventsourcing` library; handling events."""

import tempfile
from pathlib import Path

from bench.processes import rate, server
from bench.row import Effort, Row

_BESIDE = "eventsourcing library, SQLite, one after the other"


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the rows about aggregates and handlers."""
    updates = int(effort.seconds * 1000)
    loads = int(effort.seconds * 25)
    together, one_by_one, theirs = list[float](), list[float](), list[float]()
    rebuilt, theirs_rebuilt = list[float](), list[float]()
    handled = list[float]()
    for _ in range(effort.rounds):
        together.append(_ours(directory, 10, updates * 2, 64, "update"))
        theirs.append(_theirs(directory, 10, updates, "update"))
        one_by_one.append(_ours(directory, 10, updates, 1, "update"))
        rebuilt.append(_ours(directory, 1000, loads, 1, "load"))
        theirs_rebuilt.append(_theirs(directory, 1000, loads, "load"))
        handled.append(_handled(directory, int(effort.seconds * 2500)))
    return [
        Row(
            work="load, decide, append; 10 events; 64 tasks",
            ours=together,
            unit="updates/s",
            beside=_BESIDE,
            theirs=theirs,
            target=3.0,
        ),
        Row(
            work="load, decide, append; 10 events; one after the other",
            ours=one_by_one,
            unit="updates/s",
            beside=_BESIDE,
            theirs=theirs,
        ),
        Row(
            work="rebuild an aggregate from 1,000 events",
            ours=rebuilt,
            unit="loads/s",
            beside=_BESIDE,
            theirs=theirs_rebuilt,
            target=3.0,
        ),
        Row(
            work="a handler that updates another aggregate, remote, 4 swimlanes busy",
            ours=handled,
            unit="events/s",
            target=1500.0,
        ),
    ]


def _ours(directory: Path, events: int, aggregates: int, tasks: int, what: str) -> float:
    with tempfile.TemporaryDirectory(dir=directory) as empty:
        return rate("framework_aggregates", empty, events, aggregates, tasks, what)


def _theirs(directory: Path, events: int, aggregates: int, what: str) -> float:
    with tempfile.TemporaryDirectory(dir=directory) as empty:
        return rate("peer_aggregates", empty, events, aggregates, what)


def _handled(directory: Path, events: int) -> float:
    with tempfile.TemporaryDirectory(dir=directory) as empty, server(Path(empty)) as ours:
        return rate("framework_handlers", ours.http, ours.stomp, events, 4)
