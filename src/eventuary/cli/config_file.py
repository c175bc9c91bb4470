"""``--config FILE``: the file's values stand in for options and variables that are not given."""

from pathlib import Path
from typing import Annotated

import typer

from eventuary.cli.failing import fail
from eventuary.errors import ConfigurationError
from eventuary.server.settings import FILE_TABLES, read_file


def _load(context: typer.Context, path: Path | None) -> Path | None:
    """Let a command's options begin with what the file says; its tables go to ``context.obj``."""
    if path is None:
        return None
    try:
        settings = read_file(path)
    except ConfigurationError as error:
        fail(error)
    if "api_keys" in settings:
        settings["api_key"] = settings.pop("api_keys")
    context.obj = {name: settings.pop(name, {}) for name in FILE_TABLES}
    context.default_map = {**(context.default_map or {}), **settings}
    return path


def config_option(text: str) -> typer.models.OptionInfo:
    """Return the option; ``text`` is its help."""
    option: typer.models.OptionInfo = typer.Option(
        "--config",
        envvar="EVENTUARY_CONFIG",
        metavar="FILE",
        help=text,
        is_eager=True,
        callback=_load,
    )
    return option


#: For commands that need of the file the engine alone.
EngineConfig = Annotated[
    Path | None, config_option("The server's TOML file, for its [bold]engine[/].")
]
