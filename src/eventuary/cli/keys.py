"""``eventuary keys``: add, list and revoke the keys that are stored beside the events.

Works while a server runs on the same database: it notices within about a second.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eventuary.cli.config_file import EngineConfig
from eventuary.cli.failing import fail
from eventuary.engines.engine import Engine, KeyRecord, KeyStore
from eventuary.engines.opening import open_engine, shown
from eventuary.errors import BadRequest, ConfigurationError, EventuaryError
from eventuary.server.auth import generate_secret, hash_secret, spaces_of
from eventuary.server.principal import ALL_SPACES
from eventuary.server.settings import DEFAULT_ENGINE
from eventuary.validation import check_space

keys = typer.Typer(
    help="Add, list and revoke stored API keys.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        envvar="EVENTUARY_ENGINE",
        metavar="URL",
        help="Where the events, and the keys, are stored: [bold]sqlite:PATH[/], "
        "[bold]postgresql://…[/] or [bold]nats://HOST,HOST,HOST[/].",
    ),
]

_KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id: the user name of a call.")]


@keys.command()
def add(
    key_id: _KeyId,
    space: Annotated[
        list[str] | None,
        typer.Option(metavar="SPACE", help="A space it may use; may be repeated. None: all."),
    ] = None,
    *,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="It may read and subscribe, not write.")
    ] = False,
    config: EngineConfig = None,
    engine: _EngineOption = DEFAULT_ENGINE,
) -> None:
    """Store a new key, and print its secret: this once, as only a hash is kept."""
    del config  # its callback has dealt with it
    secret = generate_secret()
    try:
        _check_id(key_id)
        for each in space or ():
            if each != ALL_SPACES:
                check_space(each)
        # So the first key can be stored before the first server starts, which on any but a loopback
        # address it must be.
        _key_store(engine, make=True).add_key(
            KeyRecord(
                key_id,
                hash_secret(secret),
                spaces_of(space or ()),
                read_only,
                time.time_ns() // 1_000_000,
            )
        )
    except (ConfigurationError, EventuaryError) as error:
        fail(error)
    typer.echo(f"{key_id}:{secret}")
    typer.echo("Keep the secret now: it is not stored and can't be shown again.", err=True)


@keys.command("list")
def list_keys(config: EngineConfig = None, engine: _EngineOption = DEFAULT_ENGINE) -> None:
    """Show the stored keys."""
    del config
    try:
        records = _key_store(engine).list_keys()
    except (ConfigurationError, EventuaryError) as error:
        fail(error)
    table = Table("Id", "Spaces", "May", "Added (UTC)")
    for record in records:
        table.add_row(
            record.key_id,
            "all" if ALL_SPACES in record.spaces else ", ".join(record.spaces),
            "read" if record.read_only else "read, write",
            datetime.fromtimestamp(record.created_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        )
    if records:
        Console().print(table)
    else:
        typer.echo("There are no stored keys.")


@keys.command()
def revoke(
    key_id: _KeyId, config: EngineConfig = None, engine: _EngineOption = DEFAULT_ENGINE
) -> None:
    """Delete a key; a running server refuses it within about a second."""
    del config
    try:
        _key_store(engine).revoke_key(key_id)
    except (ConfigurationError, EventuaryError) as error:
        fail(error)
    typer.echo(f"Revoked {key_id}.")


def _key_store(url: str, *, make: bool = False) -> KeyStore:
    """Return the keys of a database, which is made if there is none and ``make`` says so.

    Raises ConfigurationError.
    """
    # What could be lost is for the server to say: keys are stored whatever it is.
    engine = open_engine(url, accept_data_loss=True)
    if not make and not engine.exists:
        raise ConfigurationError(
            f"engine: {shown(url)}: there is no database; name the server's with --engine or "
            "--config"
        )
    asyncio.run(_prepare(engine))
    return engine.keys


async def _prepare(engine: Engine) -> None:
    """Bring the database up to date; what a server holds is."""
    try:
        await engine.start(lambda _: None)
    except ConfigurationError as error:
        if "held by another server" not in str(error):
            raise
    else:
        await engine.stop()


def _check_id(key_id: str) -> None:
    """Basic authentication splits at the first colon. Raises BadRequest."""
    if not key_id or ":" in key_id or not key_id.isprintable():
        raise BadRequest(f"ID: {key_id!r} must be printable characters without ':'")
