"""How many events are done, how fast, and for how long yet: a bar on a terminal, else a line.

A line is said now and then, and when there is something new to note.
"""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

#: Seconds between two lines, where there is no terminal.
LINE_EVERY = 5.0


class EventProgress:
    """Shown on standard error, within ``with``."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="yellow"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._doing = ""
        self._begun = time.monotonic()
        self._said_at = self._begun
        self._said = ""

    def __enter__(self) -> Self:
        """Begin to show."""
        self._begun = self._said_at = time.monotonic()
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it away."""
        self._bar.stop()

    def show(self, doing: str, done: int, left: int, *, more: str = "", note: str = "") -> None:
        """Show how far it is. ``more`` stands before what is left; ``note`` is for trouble."""
        now = time.monotonic()
        if doing != self._doing and self._doing:
            self._begun = now
            if self._task is not None:
                self._bar.remove_task(self._task)
                self._task = None
        self._doing = doing
        rate = f"{done / max(0.001, now - self._begun):,.0f}/s"
        if self._console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task(doing, total=None, rate="", note="")
            self._bar.update(self._task, completed=done, total=done + left, rate=rate, note=note)
        elif now - self._said_at >= LINE_EVERY or note != self._said:
            self._said_at, self._said = now, note
            self._console.print(
                f"{doing}: {done:,} events done, {more}{left:,} left, {rate}"
                + (f"; {note}" if note else ""),
                highlight=False,
                soft_wrap=True,
            )
