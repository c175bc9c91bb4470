"""Memory of the server with many events stored and many subscribers connected.

First all subscribers are live and each gets every new event. Then as many others take their place
that begin at the log's beginning and acknowledge nothing, so that each has full windows under way.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.processes import Server, rate, server
from bench.row import Effort, Row

_SUBSCRIBERS = 500
_CROWDS = 4
_LIVE_EVENTS = 1000
#: 8 swimlanes of 128 messages, which are not topped up while they are more than half full.
_WINDOWS = 700


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the rows about memory."""
    with server(directory) as ours:
        rate("bulk_calls", ours.http, effort.memory_events // 10_000, 10)
        with _crowds(ours, "live") as crowds:
            rate("bulk_calls", ours.http, _LIVE_EVENTS // 1000, 1)
            _await_messages(crowds, _LIVE_EVENTS)
            live = ours.memory()
        with _crowds(ours, "silent") as crowds:
            _await_messages(crowds, _WINDOWS)
            silent = ours.memory()
        most = ours.memory("VmHWM")
    what = f"memory, {effort.memory_events:,} events, {_SUBSCRIBERS} subscribers"
    return [
        Row(work=f"{what}, live", ours=[live], unit="MB", target=300, at_most=True),
        Row(
            work=f"{what}, full windows unacknowledged",
            ours=[silent],
            unit="MB",
            target=300,
            at_most=True,
        ),
        Row(work="memory at its highest, filling the store included", ours=[most], unit="MB"),
    ]


@contextmanager
def _crowds(ours: Server, manner: str) -> Iterator[list["subprocess.Popen[str]"]]:
    with ExitStack() as stack:
        crowds = [
            stack.enter_context(
                subprocess.Popen(
                    [
                        *(sys.executable, "-m", "bench.crowd", str(ours.stomp)),
                        *(f"{manner}-{number}", str(_SUBSCRIBERS // _CROWDS), manner),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(_CROWDS)
        ]
        for each in crowds:
            assert each.stdout is not None
            assert each.stdout.readline() == "subscribed\n"
        yield crowds


def _await_messages(crowds: list["subprocess.Popen[str]"], each_subscriber: int) -> None:
    """Wait until the subscribers of each crowd have received so many, on average."""
    for each in crowds:
        assert each.stdin is not None
        each.stdin.write(f"{each_subscriber * _SUBSCRIBERS // _CROWDS}\n")
        each.stdin.flush()
    for each in crowds:
        assert each.stdout is not None
        assert each.stdout.readline() == "received\n"
