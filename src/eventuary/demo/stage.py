"""How the demonstration looks: acts, sentences, tables, and what was checked."""

import time
from collections.abc import Iterable, Sequence

from rich.box import ROUNDED
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

#: Seconds that a reader gets after each act; none when nobody watches.
_PAUSE = 0.5


class Stage:
    """Prints, with colours on a terminal and without elsewhere, and remembers failed checks."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._acts = 0
        self.failures = 0

    def open(self, title: str, text: str) -> None:
        """Begin."""
        self._console.print()
        self._console.print(
            Panel(
                text, title=f"[bold cyan]{title}[/]", box=ROUNDED, border_style="cyan", expand=False
            )
        )

    def act(self, title: str) -> None:
        """Begin an act."""
        if self._acts and self._console.is_terminal:
            time.sleep(_PAUSE)
        self._acts += 1
        self._console.print(f"\n[bold cyan]{self._acts}[/]  [bold]{title}[/]")

    def say(self, text: str) -> None:
        """Say a sentence; ``[b]`` and the like mark it up."""
        self._console.print(f"   {text}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Show rows; the first column is dim: it holds ids."""
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for number, name in enumerate(columns):
            table.add_column(name, style="dim" if number == 0 else None, no_wrap=number == 0)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(Panel(table, box=ROUNDED, border_style="dim", expand=False))

    def check(self, holds: bool, promise: str) -> None:
        """Say whether a promise was kept."""
        if not holds:
            self.failures += 1
        mark = "[bold green]✔[/]" if holds else "[bold red]✘ NOT SO:[/]"
        self._console.print(f"   {mark} {promise}")

    def close(self, text: str) -> None:
        """End, with what to do next."""
        self._console.print()
        if self.failures:
            self._console.print(f"[bold red]{self.failures} promises were not kept.[/]\n")
        else:
            self._console.print(
                Panel(
                    text,
                    title="[bold green]Nothing was lost[/]",
                    box=ROUNDED,
                    border_style="green",
                    expand=False,
                )
            )
