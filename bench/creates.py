"""Durable creates of one 300-byte event: 64 connections, and one."""

import tempfile
from pathlib import Path

from bench.processes import ceiling, rate, server
from bench.row import Effort, Row


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the rows about creating entities one by one."""
    seconds = effort.seconds
    many, one, bare_many, bare_one, bare_echo = list[float](), list[float](), list[float](), [], []
    saves, single = list[float](), list[float]()
    with server(directory) as ours, ceiling(directory) as bare:
        for _ in range(effort.rounds):
            many.append(rate("load_http", ours.http, 64, seconds, "create"))
            bare_many.append(rate("load_http", bare, 64, seconds, "create"))
            one.append(rate("load_http", ours.http, 1, seconds, "create"))
            bare_one.append(rate("load_http", bare, 1, seconds, "create"))
            bare_echo.append(rate("load_http", bare, 1, seconds / 2, "fixed"))
            with tempfile.TemporaryDirectory(dir=directory) as empty:
                saves.append(rate("peer_eventsourcing", empty, seconds))
                single.append(rate("bare_sqlite", empty, seconds, 1))
    # One connection waits for its answer and then for the disk: the times add up.
    possible = [1 / (1 / echo + 1 / alone) for echo, alone in zip(bare_echo, single, strict=True)]
    return [
        Row(
            work="create, 64 connections",
            ours=many,
            unit="appends/s",
            beside="bare ASGI application, same group commit",
            theirs=bare_many,
            target=0.75,
        ),
        Row(
            work="create, 64 connections",
            ours=many,
            unit="appends/s",
            beside="eventsourcing library, in-process, SQLite",
            theirs=saves,
            target=4.0,
        ),
        Row(
            work="create, 1 connection",
            ours=one,
            unit="appends/s",
            beside="SQLite, one transaction an event",
            theirs=single,
            target=0.7,
        ),
        Row(
            work="create, 1 connection",
            ours=one,
            unit="appends/s",
            beside="bare ASGI application, 1 connection",
            theirs=bare_one,
        ),
        Row(
            work="best possible at 1 connection",
            ours=possible,
            unit="appends/s",
            beside="SQLite alone; the best adds an HTTP round trip",
            theirs=single,
        ),
    ]
