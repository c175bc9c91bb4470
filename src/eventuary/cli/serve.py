"""``eventuary serve``: every setting as an option, a variable and a line of a file.

A value comes from the command line, else from its EVENTUARY_ variable, else from the file that
``--config`` names, else it is the default.
"""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from eventuary.cli.config_file import config_option
from eventuary.cli.failing import fail
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.errors import ConfigurationError
from eventuary.limits import Limits
from eventuary.server.auth import ApiKey
from eventuary.server.settings import (
    DEFAULT_ENGINE,
    DEFAULT_HOST,
    DEFAULT_HTTP_PORT,
    DEFAULT_STOMP_PORT,
    DEFAULT_STOMP_TLS_PORT,
    DELIVERY_VARIABLES,
    LIMIT_VARIABLES,
    Settings,
    from_pairs,
    from_variables,
    overlay,
)
from eventuary.swimlanes import DEFAULT_SWIMLANES

_ADDRESSES = "Where it listens"
_STORAGE = "What it keeps, and where"
_ACCESS = "Who may call"
_RULES = "Limits and delivery"


def serve(
    context: typer.Context,
    *,
    config: Annotated[
        Path | None,
        config_option(
            "A TOML file with any of these settings: [bold]http_port = 8080[/], "
            '[bold]api_keys = \\["id:secret"][/], tables [bold]\\[limits][/] and '
            "[bold]\\[delivery][/]."
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            envvar="EVENTUARY_HOST",
            help="Address for both ports. Any but a loopback one needs API keys.",
            rich_help_panel=_ADDRESSES,
        ),
    ] = DEFAULT_HOST,
    http_port: Annotated[
        int,
        typer.Option(
            envvar="EVENTUARY_HTTP_PORT",
            help="REST, /v1 and WebSockets; 0 takes any free port.",
            rich_help_panel=_ADDRESSES,
        ),
    ] = DEFAULT_HTTP_PORT,
    stomp_port: Annotated[
        int | None,
        typer.Option(
            envvar="EVENTUARY_STOMP_PORT",
            help="STOMP over TCP; 0 takes any free port.",
            show_default=f"{DEFAULT_STOMP_PORT}, with TLS {DEFAULT_STOMP_TLS_PORT}",
            rich_help_panel=_ADDRESSES,
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            envvar="EVENTUARY_TLS_CERT",
            metavar="FILE",
            help="Certificate chain (PEM): both ports then speak TLS.",
            rich_help_panel=_ADDRESSES,
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            envvar="EVENTUARY_TLS_KEY",
            metavar="FILE",
            help="The certificate's private key (PEM).",
            rich_help_panel=_ADDRESSES,
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            envvar="EVENTUARY_ENGINE",
            metavar="URL",
            help="Where events are stored: [bold]sqlite:PATH[/], [bold]postgresql://…[/] or "
            "[bold]nats://HOST,HOST,HOST[/].",
            rich_help_panel=_STORAGE,
        ),
    ] = DEFAULT_ENGINE,
    swimlanes: Annotated[
        int,
        typer.Option(
            envvar="EVENTUARY_SWIMLANES",
            help="Swimlanes of a space; fixed for each space with its first event.",
            rich_help_panel=_STORAGE,
        ),
    ] = DEFAULT_SWIMLANES,
    accept_data_loss: Annotated[
        bool,
        typer.Option(
            "--accept-data-loss",
            envvar="EVENTUARY_ACCEPT_DATA_LOSS",
            help="Start on a NATS cluster though it could lose what it has acknowledged.",
            rich_help_panel=_STORAGE,
        ),
    ] = False,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            envvar="EVENTUARY_API_KEY",
            metavar="ID:SECRET",
            help="A key for all spaces, read and write; may be repeated. "
            "Stored keys: [bold]eventuary keys[/].",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Change a limit, as in [bold]body_size=1048576[/]; may be repeated. "
            "Variables: EVENTUARY_LIMIT_BODY_SIZE and so on.",
            rich_help_panel=_RULES,
        ),
    ] = None,
    delivery: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Change a default rule of delivery, as in [bold]window=256[/]; may be repeated. "
            "Variables: EVENTUARY_DELIVERY_WINDOW and so on.",
            rich_help_panel=_RULES,
        ),
    ] = None,
    log_level: Annotated[
        str,
        typer.Option(
            envvar="EVENTUARY_LOG_LEVEL",
            metavar="LEVEL",
            help="What goes to standard error: debug, info, warning or error.",
        ),
    ] = "info",
) -> None:
    """Run the event store until SIGTERM or Ctrl-C.

    Says in one line on standard output when both ports accept. Ends after everything under way is
    answered.
    """
    tables = context.obj or {}
    try:
        settings = Settings(
            host=host,
            http_port=http_port,
            stomp_port=stomp_port,
            engine=engine,
            api_keys=tuple(ApiKey.parse(each) for each in api_key or ()),
            tls_cert=tls_cert,
            tls_key=tls_key,
            swimlanes=swimlanes,
            accept_data_loss=accept_data_loss,
            limits=overlay(
                Limits(),
                (f"config: {config}: limits", tables.get("limits", {})),
                (LIMIT_VARIABLES, from_variables(LIMIT_VARIABLES, os.environ)),
                ("--limit", from_pairs("--limit", limit or ())),
            ),
            delivery=overlay(
                DeliveryPolicy(),
                (f"config: {config}: delivery", tables.get("delivery", {})),
                (DELIVERY_VARIABLES, from_variables(DELIVERY_VARIABLES, os.environ)),
                ("--delivery", from_pairs("--delivery", delivery or ())),
            ),
            log_level=log_level.lower(),
        )
        settings.check()
        _log_to_standard_error(settings.log_level)
        # Imported here, so that `eventuary keys` and `--help` do not load a web server.
        from eventuary.server.app import serve as run

        run(settings, _say)
    except ConfigurationError as error:
        fail(error)


def _say(line: str) -> None:
    typer.echo(line)  # flushes


def _log_to_standard_error(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if level != "debug":
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets"):
            logging.getLogger(name).setLevel(logging.WARNING)
