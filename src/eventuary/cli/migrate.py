"""``eventuary migrate``: copy a store to another engine while its servers go on."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Annotated, NoReturn

import typer

from eventuary.cli.event_progress import EventProgress
from eventuary.cli.failing import fail
from eventuary.engines.copying import counted
from eventuary.engines.opening import shown
from eventuary.engines.storing import open_stored, open_target
from eventuary.errors import ConfigurationError, EventuaryError
from eventuary.migration.migrating import Outcome, verify
from eventuary.migration.migrating import migrate as migrate_store
from eventuary.migration.progress import Progress, Report

_URL = "[bold]sqlite:PATH[/], [bold]postgresql://…[/] or [bold]nats://…[/]"

#: Differences that are shown, at most.
_MOST_SHOWN = 40

#: Exit code after Ctrl-C, as shells have it.
_INTERRUPTED = 130


def migrate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help=f"The store to copy: {_URL}. Its servers may go on meanwhile."
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help=f"Where to: {_URL}. It is made if it is not there."),
    ],
    *,
    only_verify: Annotated[
        bool, typer.Option("--verify", help="Copy nothing: compare the two, whole.")
    ] = False,
    clone: Annotated[
        bool,
        typer.Option(
            "--clone",
            help="The copy may be served although SOURCE is: another store from now on.",
        ),
    ] = False,
) -> None:
    """Copy a whole store to another engine: ids, order, positions, triggers, subscriptions, keys.

    Run it while the servers of SOURCE go on; then stop them and run it once more: it copies the
    rest. Interrupted, the same command goes on from where it was. Exit code 1: the two differ.
    """
    copied = 0

    def report(progress: Progress) -> None:
        nonlocal copied
        copied = progress.done if progress.doing == "copying" else copied
        showing.show(progress.doing, progress.done, progress.left)

    begun = time.monotonic()
    try:
        with EventProgress() as showing:
            outcome = asyncio.run(
                _compare(source, target, report)
                if only_verify
                else _copy(source, target, report, clone=clone)
            )
    except (ConfigurationError, EventuaryError) as error:
        fail(error)
    except KeyboardInterrupt:
        typer.echo(
            f"Interrupted after {copied:,} events, which are kept: the same command goes on from "
            "there.",
            err=True,
        )
        raise typer.Exit(_INTERRUPTED) from None
    seconds = time.monotonic() - begun
    if not (only_verify or outcome.was_finished):
        rate = f" ({outcome.copied / seconds:,.0f} a second)" if outcome.copied else ""
        events = counted(outcome.copied, "events")
        typer.echo(f"Copied {events} in {seconds:.1f} s, comparing included{rate}.")
    if outcome.differences:
        _tell_differences(outcome)
    typer.echo(
        f"The same up to position {outcome.position}: "
        + ", ".join(counted(number, name) for name, number in outcome.numbers.items())
        + "."
    )
    typer.echo(f"Digest of the log: {outcome.digest}")
    if only_verify:
        return
    if outcome.served_by is not None:
        typer.echo(
            f"SOURCE is still served ({outcome.served_by}), so TARGET may not be: stop the servers "
            "of SOURCE, and run the same command once more."
        )
    elif outcome.was_finished:
        typer.echo("It was finished before; nothing was written.")
    elif clone:
        typer.echo(
            f"Finished: serve --engine {shown(target)}; it is a store of its own from now on."
        )
    else:
        typer.echo(f"Finished: serve --engine {shown(target)}, and SOURCE no more.")


async def _copy(source: str, target: str, report: Report, *, clone: bool) -> Outcome:
    if source == target:
        raise ConfigurationError("TARGET: is the same as SOURCE")
    one, made = open_stored(source, "SOURCE"), open_target(target, "TARGET")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(one.close)
        await one.open()
        stack.push_async_callback(made.close)
        await made.open()
        return await migrate_store(one, made, clone=clone, report=report)


async def _compare(source: str, target: str, report: Report) -> Outcome:
    one, other = open_stored(source, "SOURCE"), open_stored(target, "TARGET")
    async with AsyncExitStack() as stack:
        for each in (one, other):
            stack.push_async_callback(each.close)
            await each.open()
        return await verify(one, other, report=report)


def _tell_differences(outcome: Outcome) -> NoReturn:
    """Name what differs, and end."""
    for line in outcome.differences[:_MOST_SHOWN]:
        typer.echo(f"  {line}", err=True)
    more = len(outcome.differences) - _MOST_SHOWN
    if more > 0:
        typer.echo(f"  and {more} more", err=True)
    typer.echo("eventuary: SOURCE and TARGET differ: see above", err=True)
    raise typer.Exit(1)
