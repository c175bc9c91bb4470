"""1,000 appends in one /v1 call."""

import tempfile
from pathlib import Path

from bench.processes import rate, server
from bench.row import Effort, Row


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the rows about appending to several entities in one call."""
    calls = int(effort.seconds * 40)
    one_caller, four_callers, groups = list[float](), list[float](), list[float]()
    with server(directory) as ours:
        for _ in range(effort.rounds):
            one_caller.append(rate("bulk_calls", ours.http, calls, 1))
            four_callers.append(rate("bulk_calls", ours.http, calls, 1, 4))
            with tempfile.TemporaryDirectory(dir=directory) as empty:
                groups.append(rate("bare_sqlite", empty, effort.seconds, 1000))
    beside = "SQLite, groups of 1,000"
    work = "1,000 appends in one /v1 call"
    return [
        Row(
            work=work,
            ours=one_caller,
            unit="appends/s",
            beside=beside,
            theirs=groups,
            target=0.5,
        ),
        Row(
            work=f"{work}, 4 callers",
            ours=four_callers,
            unit="appends/s",
            beside=beside,
            theirs=groups,
        ),
    ]
