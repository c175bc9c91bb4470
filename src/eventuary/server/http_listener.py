"""The HTTP side of the server: its sockets, and how it ends."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence

from starlette.types import ASGIApp
from uvicorn.config import Config

from eventuary.server.http_protocol import EventuaryHttpProtocol
from eventuary.server.http_state import HttpState
from eventuary.server.websocket_protocol import WebSocketProtocol

_log = logging.getLogger("eventuary.http")

#: Connections that the kernel keeps until they are accepted.
_BACKLOG = 1024

#: Seconds after which draining goes on whatever is not answered; an append takes milliseconds.
_DRAIN_LIMIT = 8.0

#: Seconds between two looks at the connections that are being drained.
_LOOK_AGAIN = 0.02

#: Seconds that streams and WebSockets have to end once they have been told to.
_STREAM_GRACE = 2.0


class HttpListener:
    """Listens; ``drain`` and then ``stop`` end it."""

    def __init__(self, app: ASGIApp, shared: HttpState) -> None:
        self._shared = shared
        limits = shared.limits
        self._config = Config(
            app,
            http=EventuaryHttpProtocol,
            ws=WebSocketProtocol,
            ws_max_size=limits.headers_size + limits.frame_size,  # a whole frame
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        self._config.load()
        self._servers: list[asyncio.Server] = []

    async def start(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Accept connections on these sockets."""
        limits = self._shared.limits
        loop = asyncio.get_running_loop()
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._servers.append(
                await loop.create_server(
                    lambda: EventuaryHttpProtocol(self._config, self._shared, loop),
                    sock=each,
                    ssl=tls,
                    ssl_handshake_timeout=None if tls is None else limits.request_timeout,
                    backlog=_BACKLOG,
                )
            )
        self._shared.start_sweeping(loop)

    async def drain(self) -> None:
        """Accept nothing more; answer what has been asked; leave streams and WebSockets be."""
        for server in self._servers:
            server.close()
        shared = self._shared
        shared.draining = True
        for connection in list(shared.watched):
            connection.shutdown()
        try:
            async with asyncio.timeout(_DRAIN_LIMIT):
                while any(  # noqa: ASYNC110 - an event would cost each answer something
                    connection.answering for connection in shared.watched
                ):
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError:
            _log.warning("some requests were not answered within %g seconds", _DRAIN_LIMIT)

    async def stop(self) -> None:
        """End what is left: streams that have been told, WebSockets, clients that linger."""
        shared = self._shared
        for connection in list(shared.connections):
            connection.shutdown()
        if shared.tasks:
            _, late = await asyncio.wait(list(shared.tasks), timeout=_STREAM_GRACE)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        for watched in list(shared.watched):
            watched.transport.close()
        end = asyncio.get_running_loop().time() + _STREAM_GRACE
        while (  # noqa: ASYNC110 - as above
            shared.watched and asyncio.get_running_loop().time() < end
        ):
            await asyncio.sleep(_LOOK_AGAIN)  # what is written is being sent
        for watched in list(shared.watched):
            watched.transport.abort()
        shared.stop_sweeping()
