"""Reading entities of 10 events, in random order, among 20,000."""

from pathlib import Path

from bench import events
from bench.http_connection import HttpConnection
from bench.processes import ceiling, rate, server
from bench.row import Effort, Row


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the row about finding entities."""
    ids = directory / "ids"
    found, fixed = list[float](), list[float]()
    with server(directory) as ours:
        rate("bulk_calls", ours.http, 20, 10, 1, ids)
        with HttpConnection(ours.http) as http:
            answer = http.call(events.find(ids.read_text().split()[0]))
        assert answer.count(b'"eventData"') == 10
        with ceiling(directory, answer) as bare:
            for _ in range(effort.rounds):
                found.append(rate("load_http", ours.http, 64, effort.seconds, "find", ids))
                fixed.append(rate("load_http", bare, 64, effort.seconds, "fixed"))
    return [
        Row(
            work="find, 10 events, 64 connections",
            ours=found,
            unit="finds/s",
            beside="bare ASGI application, the same bytes",
            theirs=fixed,
            target=0.7,
        )
    ]
