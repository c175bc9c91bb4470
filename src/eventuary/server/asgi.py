"""The ASGI application beside the entity routes: /v1 with its documents, and the WebSocket.

Whatever goes wrong in there, the client gets an error in the shape of every error, and the log
gets one traceback; a client that goes away is no error at all.
"""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventuary.server.http_answers import encode_error
from eventuary.server.http_reading import WEBSOCKET_PATH

_log = logging.getLogger("eventuary.http")


class Application:
    """Hands WebSockets at ``/stomp`` to one application, and every HTTP request to the other."""

    def __init__(self, http: ASGIApp, websocket: ASGIApp) -> None:
        self._http = http
        self._websocket = websocket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] == "websocket":
            if scope["path"] == WEBSOCKET_PATH:
                await self._websocket(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http":
            await _answered(self._http, scope, receive, send)


async def _answered(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    started = False

    async def noting_send(message: Message) -> None:
        nonlocal started
        started = started or message["type"] == "http.response.start"
        await send(message)

    try:
        await app(scope, receive, noting_send)
    except ClientDisconnect:
        return
    except Exception:
        _log.exception("%s %s failed unexpectedly", scope["method"], scope["path"][:200])
        if started:
            raise  # the answer can't be completed: uvicorn cuts the connection
        body = encode_error("internal_error", "an unexpected error; the server's log has it")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 404 to whatever it is."""
    body = encode_error("not_found", f"no route {scope['path'][:200]}")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})
