"""STOMP over WebSocket, for browsers: the same sessions, in text or binary messages."""

import asyncio
from typing import cast
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from eventuary.server.countdown import Countdown
from eventuary.server.sockets import address_of
from eventuary.server.stomp.listener import StompListener

#: Sub-protocols as browsers' STOMP libraries offer them, the best first.
_PROTOCOLS = ("v12.stomp", "v11.stomp", "v10.stomp")

#: Bytes that may wait for the client before its deliveries pause, and below which they go on.
_HIGH_WATER = 64 * 1024
_LOW_WATER = 16 * 1024

_POLICY_VIOLATION = 1008
_NORMAL = 1000


def stomp_websocket(listener: StompListener) -> ASGIApp:
    """Return the ASGI application that serves one WebSocket at a time of ``listener``."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        if listener.authenticator.open_access and not _same_origin(websocket):
            # Without keys any page that a browser shows could read everything here.
            await websocket.close(_POLICY_VIOLATION, "cross-origin: configure API keys to allow it")
            return
        offered = scope.get("subprotocols") or []
        chosen = next((each for each in _PROTOCOLS if each in offered), None)
        await websocket.accept(subprotocol=chosen)
        await _Conversation(websocket, listener).run()

    return app


class _Conversation:
    """Satisfies ``Wire``: what is written waits here until the client takes it."""

    def __init__(self, websocket: WebSocket, listener: StompListener) -> None:
        self._websocket = websocket
        self._listener = listener
        self._binary = False
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self._changed = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._finishing = False
        self._session = listener.begin(self)

    async def run(self) -> None:
        """Talk until either side ends it."""
        sending = asyncio.create_task(self._send())
        receiving = asyncio.create_task(self._receive())
        connecting = Countdown(self._listener.limits.request_timeout, self._session.check_connected)
        try:
            await asyncio.wait([sending, receiving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            connecting.cancel()
            for task in (sending, receiving):
                task.cancel()
            await asyncio.wait([sending, receiving])
            self._listener.end(self._session)

    async def _receive(self) -> None:
        try:
            while True:
                await self._may_read.wait()
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                text = message.get("text")
                if text is not None:
                    self._session.receive(text.encode("utf-8", "replace"))
                else:
                    self._binary = True
                    self._session.receive(message.get("bytes") or b"")
        except (WebSocketDisconnect, RuntimeError):
            return  # it is gone

    async def _send(self) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                while self._unsent:
                    data = b"".join(self._unsent)
                    self._unsent.clear()
                    # Ends this task, and so the conversation, when the client takes nothing.
                    taking = Countdown(self._listener.limits.write_timeout, task.cancel)
                    try:
                        if self._binary:
                            await self._websocket.send_bytes(data)
                        else:
                            await self._websocket.send_text(data.decode("utf-8", "replace"))
                    finally:
                        taking.cancel()
                    self._unsent_size -= len(data)
                    if self._session.full and self._unsent_size < _LOW_WATER:
                        self._session.resume()
                if self._finishing:
                    await self._websocket.close(_NORMAL)
                    return
        except (WebSocketDisconnect, RuntimeError):
            return  # it is gone

    # As the session's wire

    @property
    def peer(self) -> str:
        """The client's address."""
        return address_of(self._websocket.client)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._unsent.append(data)
        self._unsent_size += len(data)
        self._changed.set()
        if self._unsent_size > _HIGH_WATER and self._started and not self._session.full:
            self._session.pause()

    @property
    def _started(self) -> bool:
        return hasattr(self, "_session")  # the session may refuse while it is being made

    def finish(self) -> None:
        """Send what is written, then close."""
        self._finishing = True
        self._changed.set()

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Read again."""
        self._may_read.set()


def _same_origin(websocket: WebSocket) -> bool:
    """Whether the page that opens this came from here; programs send no Origin."""
    origin = websocket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == websocket.headers.get("host")
