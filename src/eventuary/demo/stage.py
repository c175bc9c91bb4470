"""How the demonstration looks: acts, sentences, tables, trees, and what was checked."""

import time
from collections.abc import Iterable, Sequence

from rich.box import ROUNDED
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

#: Seconds that a reader gets after each act; none when nobody watches.
_PAUSE = 0.5

#: Columns of the widest line.
_WIDTH = 80

_COLOURS = {"APPROVED": "green", "REJECTED": "red", "CANCELLED": "yellow", "CREATED": "blue"}


def coloured(state: str) -> str:
    """Return an order's state, marked up."""
    return f"[{_COLOURS[state]}]{state}[/]"


class Stage:
    """Prints, with colours on a terminal and without elsewhere, and remembers failed checks."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if self._console.width > _WIDTH or not self._console.is_terminal:
            self._console.width = _WIDTH
        self._acts = 0
        self.failures = 0

    def open(self, title: str, text: str) -> None:
        """Begin."""
        self._console.print()
        self._panel(title, text, "cyan")

    def act(self, title: str) -> None:
        """Begin an act."""
        if self._acts and self._console.is_terminal:
            time.sleep(_PAUSE)
        self._acts += 1
        self._console.print(f"\n[bold cyan]{self._acts}[/]  [bold]{title}[/]")

    def say(self, text: str) -> None:
        """Say a sentence; ``[b]`` and the like mark it up."""
        self.show(Text.from_markup(text))

    def lines(self, *lines: str) -> None:
        """Show lines to be copied, as they are, however wide."""
        for line in lines:
            self._console.out(f"   {line}", highlight=False, style="green")

    def call(self, request: str, answer: str, seconds: float) -> None:
        """Show a call and its answer."""
        self.say(f"[green]{request}[/]  →  {answer} [dim]in {seconds * 1000:.0f} ms[/]")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Show rows; cells are marked up."""
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for name in columns:
            table.add_column(name)
        for row in rows:
            table.add_row(*row)
        self.show(Panel(table, box=ROUNDED, border_style="dim", expand=False))

    def show(self, what: RenderableType) -> None:
        """Show anything."""
        self._console.print(Padding(what, (0, 0, 0, 3), expand=False))

    def check(self, holds: bool, promise: str) -> None:
        """Say whether a promise was kept."""
        if not holds:
            self.failures += 1
        mark = "[bold green]✔[/]" if holds else "[bold red]✘ NOT SO:[/]"
        self.say(f"{mark} {promise}")

    def close(self, title: str, text: str) -> None:
        """End, with what to do next."""
        self._console.print()
        if self.failures:
            kept = "1 promise was" if self.failures == 1 else f"{self.failures} promises were"
            self._console.print(f"[bold red]{kept} not kept.[/]\n")
        else:
            self._panel(title, text, "green")

    def _panel(self, title: str, text: str, colour: str) -> None:
        self._console.print(
            Panel(
                text,
                title=f"[bold {colour}]{title}[/]",
                box=ROUNDED,
                border_style=colour,
                expand=False,
            )
        )
