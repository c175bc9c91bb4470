"""Whether a store that holds millions of events takes new ones as fast as an empty one."""

from pathlib import Path

from bench.processes import rate, server
from bench.row import Effort, Row


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the row about appending to a full store."""
    stored = effort.stored_events
    full, empty = directory / "full", directory / "empty"
    full.mkdir()
    empty.mkdir()
    to_full, to_empty = list[float](), list[float]()
    with server(full) as filled, server(empty) as new:
        rate("bulk_calls", filled.http, stored // 10_000, 10)
        for _ in range(effort.rounds):
            to_full.append(rate("load_http", filled.http, 64, effort.seconds, "create"))
            to_empty.append(rate("load_http", new.http, 64, effort.seconds, "create"))
    return [
        Row(
            work=f"create, 64 connections, {stored:,} events stored",
            ours=to_full,
            unit="appends/s",
            beside="an empty store",
            theirs=to_empty,
            target=0.85,
        )
    ]
