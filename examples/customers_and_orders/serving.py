"""A service as a process: its options, the one line that says that it is ready, its end.

There is nothing of customers or orders in here: it is what each service would otherwise repeat.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated

import typer
import uvicorn
import uvloop
from fastapi import FastAPI

from customers_and_orders.service import Service, application
from eventuary import ConfigurationError, EventuaryError, connect

Store = Annotated[
    str,
    typer.Option(
        envvar="EVENTUARY_STORE",
        metavar="URL",
        help="The event store: http://host:port is a server's; sqlite:PATH and memory: are in "
        "this process.",
    ),
]
Host = Annotated[str, typer.Option(envvar="HOST", help="The address that it listens at.")]
Port = Annotated[int, typer.Option(envvar="PORT", help="The port; 0: one that is free.")]
Database = Annotated[
    str,
    typer.Option(
        envvar="ORDER_HISTORY",
        metavar="FILE",
        help="The order history's view: a SQLite file, or a SQLAlchemy URL.",
    ),
]
MongoDb = Annotated[
    str | None,
    typer.Option(
        envvar="MONGODB_URL",
        metavar="URL",
        help="Keep the order history's view here instead: mongodb://host/database.",
    ),
]
MailerUrl = Annotated[
    str,
    typer.Option(
        "--mailer",
        envvar="MAILER",
        metavar="URL",
        help="What sends e-mails: ses:?region=… is Amazon SES; smtp://host:port is a mail server; "
        "outbox:FOLDER is a folder.",
    ),
]
Sender = Annotated[
    str, typer.Option(envvar="SENDER", metavar="ADDRESS", help="Who e-mails are from.")
]

#: Where ``eventuary serve`` listens unless told otherwise.
SERVER = "http://127.0.0.1:8080"
HERE = "127.0.0.1"

#: Seconds that requests have to be answered at the end.
_GRACE = 10


def serve(name: str, services: Mapping[str, Service], store: str, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. What keeps it from that is one line, and exit code 2."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    with opening(name), suppress(asyncio.CancelledError):  # asked to end before it was ready
        uvloop.run(_serve(name, services, store, host, port))


@contextmanager
def opening(name: str) -> Iterator[None]:
    """Tell what keeps a service from starting in one line, and end with exit code 2."""
    try:
        yield
    except (ConfigurationError, EventuaryError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)


async def _serve(
    name: str, services: Mapping[str, Service], store: str, host: str, port: int
) -> None:
    app = application(name, connect(store), services)
    server = _Server(name, app, host, port)
    server.end_on_signals()
    # Entered here, not by uvicorn: so what is raised at the start arrives where it is told.
    async with app.router.lifespan_context(app):
        await server.serve()


class _Server(uvicorn.Server):
    """Says when it is ready, and ends with exit code 0 when it is asked to."""

    def __init__(self, name: str, app: FastAPI, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=_GRACE,
            )
        )
        self._name = name

    def end_on_signals(self) -> None:
        """End when asked to; what is still starting is given up."""
        loop, starting = asyncio.get_running_loop(), asyncio.current_task()

        def end() -> None:
            self.should_exit = True
            if not self.started and starting is not None:
                starting.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals as they are: uvicorn would raise them again at the end."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        print(f"{self._name} ready: http://{host}:{port}", flush=True)
