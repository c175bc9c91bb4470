"""The options of ``eventuary serve``, as the command itself knows them."""

from typing import NamedTuple

import typer
from typer.core import TyperGroup

from eventuary.cli import app


class Option(NamedTuple):
    """One option."""

    name: str
    flags: list[str]
    variable: object
    default: object


def serve_options() -> list[Option]:
    """Return all of them."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return [
        Option(each.name or "", list(each.opts), each.envvar, each.default)
        for each in group.commands["serve"].params
    ]
