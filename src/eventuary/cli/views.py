"""``eventuary views``: list the views of an application, see where one stands, rebuild one.

The views are found where the application declares them: a module, and in it a view, several, or a
function that returns them. So a rebuild runs the updates as they are written now.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from eventuary.cli.declared_views import AnyView, declared_views
from eventuary.cli.failing import fail
from eventuary.cli.rebuild_progress import RebuildProgress
from eventuary.connecting import connect
from eventuary.errors import ConfigurationError, EventuaryError
from eventuary.event_store import EventStore
from eventuary.views.declaration import ViewStatus
from eventuary.views.rebuilding import rebuild as rebuild_view

_T = TypeVar("_T")

views = typer.Typer(
    help="List materialized views, see where they stand, rebuild them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_App = Annotated[
    str,
    typer.Option(
        "--app",
        envvar="EVENTUARY_VIEWS",
        metavar="MODULE:NAME",
        help="Where the views are declared: a view, several, or a function that returns them.",
        show_default=False,
    ),
]
_Store = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="EVENTUARY_STORE",
        metavar="URL",
        help="The event store that feeds them: [bold]http://\\[id:secret@]host:port[/].",
    ),
]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The view's name.")]

#: Exit code after Ctrl-C, as shells have it.
_INTERRUPTED = 130


@views.command("list")
def list_all(app: _App, store: _Store = "http://127.0.0.1:8080") -> None:
    """List the views, with what each lacks."""

    async def work(opened: EventStore, found: dict[str, AnyView]) -> list[ViewStatus]:
        return [await view.status(opened) for view in found.values()]

    table = Table("view", box=None, pad_edge=False, header_style="bold")
    for heading in ("generation", "lag", "dead letters", "processes"):
        table.add_column(heading, justify="right")
    table.add_column("rebuild")
    for each in _run(app, store, work):
        table.add_row(
            each.view,
            str(each.generation) if each.generation else "never fed",
            f"{each.lag:,}",
            f"{each.dead_letters:,}",
            str(each.processes),
            "" if each.building is None else f"generation {each.building}: {_left(each)}",
        )
    _show(table)


@views.command()
def status(name: _Name, app: _App, store: _Store = "http://127.0.0.1:8080") -> None:
    """See where a view stands. Exit code 1 when it does not follow the events."""

    async def work(opened: EventStore, found: dict[str, AnyView]) -> ViewStatus:
        return await _named(name, found).status(opened)

    found = _run(app, store, work)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for label, value in (
        ("view", found.view),
        ("generation", str(found.generation) if found.generation else "never fed"),
        ("lag", f"{found.lag:,} events"),
        ("dead letters", f"{found.dead_letters:,}"),
        ("fed by", f"{found.processes} processes"),
        ("rebuild", "none" if found.building is None else _rebuild_of(found)),
    ):
        table.add_row(label, value)
    _show(table)
    if not found.processes or found.dead_letters:
        raise typer.Exit(1)


@views.command()
def rebuild(
    name: _Name,
    app: _App,
    store: _Store = "http://127.0.0.1:8080",
    *,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew if a rebuild was interrupted.")
    ] = False,
) -> None:
    """Rebuild a view from the first event on, beside the one that is read, then switch.

    Interrupted, the same command goes on from where it was.
    """
    progress = RebuildProgress(name)

    async def work(opened: EventStore, found: dict[str, AnyView]) -> int:
        view = _named(name, found)
        with progress:
            return await rebuild_view(
                view.declaration, view.kept, opened, restart=restart, report=progress.report
            )

    begun = time.monotonic()
    try:
        number = _run(app, store, work)
    except KeyboardInterrupt:
        typer.echo(
            f"Interrupted after {progress.done:,} events, which are kept: the same command goes on "
            "from there.",
            err=True,
        )
        raise typer.Exit(_INTERRUPTED) from None
    seconds = time.monotonic() - begun
    typer.echo(
        f"View {name} is rebuilt: generation {number} is live, after {progress.done:,} events in "
        f"{seconds:.1f} s ({progress.done / seconds:,.0f} a second)."
    )


def _show(table: Table) -> None:
    """Print a table without the blanks that fill its last column."""
    console = Console()
    with console.capture() as shown:
        console.print(table)
    for line in shown.get().splitlines():
        typer.echo(line.rstrip())


def _run(
    app: str, store: str, work: Callable[[EventStore, dict[str, AnyView]], Awaitable[_T]]
) -> _T:
    async def within() -> _T:
        found = declared_views(app)
        async with AsyncExitStack() as stack:
            for view in found.values():
                stack.push_async_callback(view.kept.close)
            opened = await stack.enter_async_context(connect(store))
            return await work(opened, found)

    try:
        return asyncio.run(within())
    except (ConfigurationError, EventuaryError) as error:
        fail(error)


def _named(name: str, found: dict[str, AnyView]) -> AnyView:
    view = found.get(name)
    if view is None:
        raise ConfigurationError(f"NAME: no view {name!r} here; there are: {', '.join(found)}")
    return view


def _left(found: ViewStatus) -> str:
    return "not begun" if found.building_lag is None else f"{found.building_lag:,} events left"


def _rebuild_of(found: ViewStatus) -> str:
    return f"generation {found.building}, {_left(found)}"
