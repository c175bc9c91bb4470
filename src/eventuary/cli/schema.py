"""``eventuary schema``: the SQL by which a database is prepared for a server that may not."""

from typing import Annotated

import typer

from eventuary.cli.failing import fail
from eventuary.engines.postgres.address import DEFAULT_SCHEMA, check_schema
from eventuary.errors import ConfigurationError

schema = typer.Typer(
    help="Print the SQL that prepares a database.", no_args_is_help=True, rich_markup_mode="rich"
)


@schema.callback()
def _schema() -> None:
    """Print the SQL that prepares a database."""


@schema.command()
def postgresql(
    name: Annotated[
        str,
        typer.Option(
            "--schema",
            metavar="NAME",
            help="The PostgreSQL schema, as [bold]?schema=NAME[/] of the engine's URL names it.",
        ),
    ] = DEFAULT_SCHEMA,
) -> None:
    """Print what creates Eventuary's tables in PostgreSQL, or brings them up to date.

    It may be run again: [bold]eventuary schema postgresql | psql DATABASE[/]. At its end, as a
    comment: what the serving role must be granted.
    """
    from eventuary.engines.postgres.script import grants, schema_script

    try:
        check_schema(name)
    except ConfigurationError as error:
        fail(error)
    typer.echo(schema_script(name) + grants(name), nl=False)
