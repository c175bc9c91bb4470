"""``python -m bench [--quick] [--json FILE] [NAME …]``: measure, and print the table.

Exit code 0 also when targets are missed: the table says so, and machines differ.
"""

import argparse
import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench import (
    bulk,
    creates,
    deliveries,
    finds,
    framework,
    full_store,
    jetstream,
    memory,
    place_order,
    postgres,
    views,
)
from bench.row import QUICK, Effort, Row, missed

_MEASUREMENTS: dict[str, Callable[[Path, Effort], list[Row]]] = {
    "creates": creates.measure,
    "bulk": bulk.measure,
    "finds": finds.measure,
    "deliveries": deliveries.measure,
    "full_store": full_store.measure,
    "memory": memory.measure,
    "framework": framework.measure,
    "place_order": place_order.measure,
    "views": views.measure,
    "postgres": postgres.measure,
    "jetstream": jetstream.measure,
}


def main() -> None:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure, and print the table.")
    parser.add_argument("--quick", action="store_true", help="about 3 minutes, less certain")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(_MEASUREMENTS))
    chosen = parser.parse_args()
    unknown = set(chosen.names) - _MEASUREMENTS.keys()
    if unknown:
        parser.error(f"no measurement {', '.join(unknown)}; known: {', '.join(_MEASUREMENTS)}")
    effort = QUICK if chosen.quick else Effort()
    console = Console(width=None if os.isatty(1) else 140)
    rows: list[Row] = []
    began = time.monotonic()
    for name, measure in _MEASUREMENTS.items():
        if chosen.names and name not in chosen.names:
            continue
        console.print(f"[dim]{time.monotonic() - began:5.0f} s[/]  measuring {name} …")
        # Beside the checkout, on the disk that it is on: /tmp may be memory, where fsync is free.
        with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as directory:
            rows += measure(Path(directory), effort)
    console.print(_table(rows, effort))
    console.print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version}, {platform.system()} {platform.machine()}; "
        f"{time.monotonic() - began:.0f} s"
    )
    if chosen.json:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    for row in missed(rows):
        console.print(f"[red]missed[/]: {row.work} ({_shown(row.score)}, target {row.target})")


def _table(rows: list[Row], effort: Effort) -> Table:
    table = Table(title=f"Medians of {effort.rounds}, {effort.seconds:g} seconds each")
    table.add_column("work", ratio=5)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("beside it", ratio=4)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("ratio", justify="right", no_wrap=True)
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[row.met]
        sign = "≤ " if row.at_most else "≥ "
        table.add_row(
            row.work,
            f"{_shown(row.figure)} {row.unit}",
            row.beside,
            _shown(row.reference) if row.theirs else "",
            f"{row.score:.2f}" if row.theirs else "",
            "" if row.target is None else sign + _shown(row.target),
            verdict,
        )
    return table


def _shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.2f}"


if __name__ == "__main__":
    main()
