"""How a command says that it can't do what it was asked: one line, and an exit code."""

from typing import NoReturn

import typer

from eventuary.errors import BadRequest, ConfigurationError, EventuaryError


def fail(error: ConfigurationError | EventuaryError) -> NoReturn:
    """Say why on standard error, and end.

    Exit code 2: it can't be done as it was asked; 1: the store refuses it.
    """
    typer.echo(f"eventuary: {' '.join(str(error).split())}", err=True)
    raise typer.Exit(2 if isinstance(error, ConfigurationError | BadRequest) else 1)
