"""A service as an application: its HTTP side, and its subscriber for as long as that runs.

There is nothing of customers or orders in here: it is what each service would otherwise repeat.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from eventuary import EventStore, EventuaryError, Subscriber, metadata, running


def service(
    title: str,
    store: EventStore,
    subscriber: Subscriber,
    *owned: AbstractAsyncContextManager[object],
) -> FastAPI:
    """Return an application that runs the subscriber over a store that is open.

    ``owned``: what the subscriber works on, opened before it and closed after it.
    """
    ended: list[asyncio.Task[str]] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in owned:
                await stack.enter_async_context(each)
            at_work = await stack.enter_async_context(running(store, subscriber))
            ended.append(asyncio.create_task(at_work[subscriber].ended()))
            yield

    async def health(response: Response) -> dict[str, str]:
        """Whether it does its work: 503 when the store has ended its subscription."""
        if ended and ended[0].done():
            response.status_code = 503
            return {"service": title, "status": "down", "reason": ended[0].result()}
        return {"service": title, "status": "up"}

    app = FastAPI(title=title, lifespan=lifespan)
    app.add_middleware(CarryMetadata)
    app.add_exception_handler(EventuaryError, _explain)
    app.add_exception_handler(RequestValidationError, _name_fields)
    app.get("/health")(health)
    return app


class CarryMetadata:
    """Lets a request's events carry who asked for it and the trace that it belongs to.

    The first is in the header ``X-Actor``, the other in those of W3C Trace Context.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with metadata(
            actor=headers.get("x-actor"),
            traceparent=headers.get("traceparent"),
            tracestate=headers.get("tracestate"),
        ):
            await self._app(scope, receive, send)


async def _explain(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EventuaryError)
    return JSONResponse({"error": error.code, "explanation": str(error)}, error.status)


async def _name_fields(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with which field; as FastAPI does, but for the value itself.

    It may be what JSON has no form for: NaN, as a number beyond all limits.
    """
    assert isinstance(error, RequestValidationError)
    wrong = [{name: each[name] for name in ("type", "loc", "msg")} for each in error.errors()]
    return JSONResponse({"detail": wrong}, 422)
