"""The command ``eventuary``: ``serve``, ``keys``, ``migrate``, ``schema`` and ``views``.

Whatever keeps a command from starting is one line on standard error, and exit code 2.
"""

from typing import Annotated

import typer

from eventuary.cli.keys import keys
from eventuary.cli.migrate import migrate
from eventuary.cli.schema import schema
from eventuary.cli.serve import serve
from eventuary.cli.views import views
from eventuary.version import __version__

app = typer.Typer(
    name="eventuary",
    epilog="Start with: [bold]eventuary serve[/]",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve)
app.command()(migrate)
app.add_typer(keys, name="keys")
app.add_typer(schema, name="schema")
app.add_typer(views, name="views")


def main() -> None:
    """Run the command; the entry point of the installed ``eventuary``."""
    app(prog_name="eventuary")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"eventuary {__version__}")
        raise typer.Exit


@app.callback()
def _eventuary(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and end.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """An event store for services that keep their state as events."""
    del version  # its callback has dealt with it
