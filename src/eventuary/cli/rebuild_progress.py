"""How a rebuild shows how far it is: a bar on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from eventuary.delivery.status import LAG_CAP
from eventuary.views.rebuilding import Progress

#: Seconds between two lines, where there is no terminal.
_LINE_EVERY = 5.0


class RebuildProgress:
    """Shown on standard error, within ``with``."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console(stderr=True)
        self._bar = Bar(
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
        self._begun = time.monotonic()
        self._said_at = self._begun
        self._said = ""
        #: Events that were applied.
        self.done = 0

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

    def report(self, progress: Progress) -> None:
        """Show how far it is."""
        self.done = progress.done
        now = time.monotonic()
        rate = f"{progress.done / max(0.001, now - self._begun):,.0f}/s"
        note = _note(progress)
        if self._console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task(
                    f"{self._name}.{progress.generation}", total=None, rate="", note=""
                )
            self._bar.update(
                self._task,
                completed=progress.done,
                total=progress.done + progress.left,
                rate=rate,
                note=note,
            )
        elif now - self._said_at >= _LINE_EVERY or note != self._said:
            self._said_at, self._said = now, note
            more = "more than " if progress.left >= LAG_CAP else ""
            self._console.print(
                f"{self._name}: {progress.done:,} events done, {more}{progress.left:,} left, {rate}"
                + (f"; {note}" if note else ""),
                highlight=False,
                soft_wrap=True,
            )


def _note(progress: Progress) -> str:
    if progress.trouble is not None:
        return f"waits: {progress.trouble}"
    if progress.dead_letters:
        return (
            f"waits at {progress.dead_letters} dead letters: mend the update and --restart, or "
            "discard them"
        )
    return ""
