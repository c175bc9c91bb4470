"""A service as an application: its HTTP side, and its subscriber for as long as that runs.

There is nothing of customers or orders in here: it is what each service would otherwise repeat.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from eventuary import EventStore, Subscriber, metadata
from eventuary.framework.running import Works
from eventuary.integrations.fastapi import exception_handlers, health, lifespan


class Service(NamedTuple):
    """What it is asked, what it is told, and what is its own: opened before all else."""

    routes: APIRouter
    subscriber: Subscriber | Works[Any]
    own: Sequence[AbstractAsyncContextManager[object]] = ()


def application(title: str, store: EventStore, services: Mapping[str, Service]) -> FastAPI:
    """Return services as one application, each under its path; one alone has none: ``""``.

    ``GET /health/ready`` tells whether the store answers and all subscribers run.
    """

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in services.values():
                for own in each.own:
                    await stack.enter_async_context(own)
            subscribers = [each.subscriber for each in services.values()]
            await stack.enter_async_context(lifespan(store, *subscribers)(app))
            yield

    app = FastAPI(
        title=title,
        lifespan=opened,
        exception_handlers={**exception_handlers, RequestValidationError: _name_fields},
    )
    app.add_middleware(CarryActor)
    app.include_router(health())
    for path, each in services.items():
        app.include_router(each.routes, prefix=path)
    return app


class CarryActor:
    """Lets the events that a request leads to carry who asked for it: the header ``X-Actor``.

    And the trace that it belongs to, in the headers of W3C Trace Context.
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


async def _name_fields(_: Request, error: RequestValidationError) -> JSONResponse:
    """Say what is wrong with which field; as FastAPI does, but for the value itself.

    It may be what JSON has no form for: NaN, or a number beyond all limits.
    """
    wrong = [{name: each[name] for name in ("type", "loc", "msg")} for each in error.errors()]
    return JSONResponse({"detail": wrong}, 422)
