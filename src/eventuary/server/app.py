"""The server: an engine, the event store on it, and the two wires, in one loop.

``serve`` is the whole life of a process: it starts, says in one line that both ports accept,
waits for a signal, drains, and returns. ``Server`` is the same without process and signals.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import Engine
from eventuary.engines.opening import open_engine
from eventuary.engines.opening import shown as shown_engine
from eventuary.errors import ConfigurationError, EventuaryError
from eventuary.server.asgi import Application
from eventuary.server.auth import KeyAuthenticator
from eventuary.server.http_listener import HttpListener
from eventuary.server.http_state import HttpState
from eventuary.server.key_watch import KeyWatch
from eventuary.server.metric_sources import MetricSources
from eventuary.server.rest.entities import EntityRoutes
from eventuary.server.settings import Settings
from eventuary.server.sockets import cannot_listen, is_loopback, listen, port_of, shown
from eventuary.server.stomp.listener import StompListener
from eventuary.server.stomp.websocket import stomp_websocket
from eventuary.server.tls import load_tls
from eventuary.server.v1.app import make_app
from eventuary.version import __version__


class Server:
    """Start it, and stop it; ``http_port`` and ``stomp_port`` are those in use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.http_port = 0
        self.stomp_port = 0
        self.store: EmbeddedEventStore
        self.authenticator: KeyAuthenticator
        self._http: HttpListener
        self._stomp: StompListener
        self._key_watch: asyncio.Task[None]

    async def start(self) -> None:
        """Open everything, or nothing. Raises ConfigurationError."""
        settings = self._settings
        settings.check()
        tls = None
        if settings.tls_cert is not None and settings.tls_key is not None:
            tls = load_tls(settings.tls_cert, settings.tls_key)
        local = is_loopback(settings.host)
        engine = open_engine(
            settings.engine,
            swimlanes=settings.swimlanes,
            accept_data_loss=settings.accept_data_loss,
        )
        # Before anything is bound or made: a port in use must not hide it.
        if not (local or settings.api_keys or await asyncio.to_thread(_may_hold_keys, engine)):
            raise _keys_are_missing(settings.host)
        async with contextlib.AsyncExitStack() as undo:
            sockets = listen(settings.host, settings.http_port, "http_port")
            for each in sockets:
                undo.callback(each.close)
            self.store = EmbeddedEventStore(
                engine, limits=settings.limits, policy=settings.delivery
            )
            await self.store.start()
            undo.push_async_callback(self.store.stop)
            stored = await asyncio.to_thread(engine.keys.list_keys)
            self.authenticator = KeyAuthenticator(settings.api_keys, stored, allow_open=local)
            if not local and not self.authenticator.has_keys:
                raise _keys_are_missing(settings.host)
            self._stomp = StompListener(self.store, self.authenticator, settings.limits)
            port = settings.actual_stomp_port
            try:
                self.stomp_port = await self._stomp.start(settings.host, port, tls)
            except OSError as error:
                raise cannot_listen(settings.host, port, "stomp_port", error) from None
            undo.push_async_callback(self._stomp.stop)
            shared = HttpState(EntityRoutes(self.store, self.authenticator), settings.limits)
            self._http = HttpListener(
                Application(
                    make_app(
                        self.store,
                        self.authenticator,
                        settings.limits,
                        MetricSources(shared, self._stomp),
                    ),
                    stomp_websocket(self._stomp),
                ),
                shared,
            )
            await self._http.start(sockets, tls)
            self.http_port = port_of(sockets)
            self._key_watch = asyncio.create_task(
                KeyWatch(engine.keys, self.authenticator, stored).run()
            )
            undo.pop_all()

    async def stop(self) -> None:
        """Drain: take nothing new, answer what was asked, tell subscribers, close the engine."""
        self._key_watch.cancel()
        await self._http.drain()
        await self._stomp.stop()
        await self.store.stop()
        await self._http.stop()

    @property
    def ready_line(self) -> str:
        """What a person, or a test, wants to know of a server that has started."""
        settings = self._settings
        secure = "s" if settings.tls_cert is not None else ""
        host = shown(settings.host)
        line = (
            f"Eventuary {__version__} ready: http{secure}://{host}:{self.http_port} "
            f"stomp{secure}://{host}:{self.stomp_port} engine {shown_engine(settings.engine)}"
        )
        if self.authenticator.open_access:
            line += " (open access: no API keys, any credentials are accepted)"
        return line


def _may_hold_keys(engine: Engine) -> bool:
    """Whether keys are stored, as far as that can be known of an engine that is not started."""
    if not engine.exists:
        return False
    try:
        return bool(engine.keys.list_keys())
    except (ConfigurationError, EventuaryError):
        return True  # starting the engine tells what is wrong, or upgrades what is old


def _keys_are_missing(host: str) -> ConfigurationError:
    return ConfigurationError(
        f"host: {host} can be reached from other machines and there are no API keys; "
        "give --api-key ID:SECRET, or store one: eventuary keys add ID"
    )


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Run a server until SIGTERM or SIGINT; ``say`` is given its one line.

    A second signal ends the process at once, with exit code 1. Raises ConfigurationError.
    """
    _allow_many_files()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, say))


async def _serve(settings: Settings, say: Callable[[str], None]) -> None:
    server = Server(settings)
    await server.start()
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    # What has been loaded so far stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    say(server.ready_line)
    await stopping.wait()
    await server.stop()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def _allow_many_files() -> None:
    """Take as many open files as the system lets us have: each connection is one."""
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
