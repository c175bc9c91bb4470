"""FastAPI: a lifespan that runs subscribers, repositories as dependencies, errors as answers.

    app = FastAPI(lifespan=lifespan(store, order_service), exception_handlers=exception_handlers)
    app.include_router(health())

    Orders = Annotated[Repository[Order], repository(Order, snapshots=EveryEvents(100))]

    @app.post("/orders")
    async def place_order(request: NewOrder, orders: Orders) -> OrderAnswer:
        order = await orders.save(Order.create(request.customer_id, request.total))

An application with a lifespan of its own enters this one within it:

    @asynccontextmanager
    async def own_lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with connect_to_mail(), lifespan(store, order_service)(app):
            yield
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypedDict, TypeVar, Unpack

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse

from eventuary.errors import BadRequest, Conflict, EventuaryError, ServiceUnavailable
from eventuary.event_store import EventStore
from eventuary.events import DEFAULT_SPACE
from eventuary.framework.aggregate import Aggregate
from eventuary.framework.encryption import Encryption
from eventuary.framework.not_found import AggregateNotFound
from eventuary.framework.repository import Repository
from eventuary.framework.retries import Retries
from eventuary.framework.running import Running, Works, running
from eventuary.framework.snapshot_strategy import SnapshotStrategy
from eventuary.framework.subscriber import Subscriber

_A = TypeVar("_A", bound=Aggregate)


class RepositorySettings(TypedDict, total=False):
    """What a repository may be given; ``Repository`` says what it means."""

    space: str
    retries: Retries | None
    snapshots: SnapshotStrategy | None
    cache: int
    encryption: Encryption | None


class _Opened:
    """What an application has while it runs: ``app.state.eventuary``."""

    def __init__(self, store: EventStore, subscribers: Running) -> None:
        self.store = store
        self.subscribers = subscribers
        #: By the dependency that asks for it.
        self.repositories: dict[object, Repository[Any]] = {}


def lifespan(
    store: EventStore, *subscribers: Subscriber | Works[Any], grace: float = 10.0
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Open the store and run subscribers, and views, for as long as the application runs.

    ``grace``: seconds that handlers have to finish at its end.
    """

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with store, running(store, *subscribers, grace=grace) as subscribers_running:
            app.state.eventuary = _Opened(store, subscribers_running)
            try:
                yield
            finally:
                for each in app.state.eventuary.repositories.values():
                    await each.settle()
                del app.state.eventuary

    return opened


def repository(aggregate_type: type[_A], **settings: Unpack[RepositorySettings]) -> Any:
    """Return a dependency: a repository, made once for the application.

    To be written in an annotation: ``Annotated[Repository[Order], repository(Order)]``.
    """

    async def dependency(connection: HTTPConnection) -> Repository[_A]:
        repositories = _opened(connection).repositories
        made = repositories.get(dependency)
        if made is None:
            made = Repository(_opened(connection).store, aggregate_type, **settings)
            repositories[dependency] = made
        return made

    return Depends(dependency)


def health(
    prefix: str = "/health", *, space: str = DEFAULT_SPACE, patience: float = 2.0
) -> APIRouter:
    """Return routes that tell an orchestrator how the application is.

    ``GET …/live``: 200 while it answers at all. ``GET …/ready``: 200 when the event store answers a
    read in ``space`` within ``patience`` seconds and all subscribers run; otherwise 503, and the
    explanation says what is wrong with the store, or with which subscriber. A subscriber that has
    paused because an outside system is down runs; ``waitsFor`` says which one waits for what.
    """
    router = APIRouter(prefix=prefix, tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @router.get("/ready")
    async def ready(request: Request) -> JSONResponse:
        opened = _opened(request)
        problems = [
            f"subscriber {subscriber_id!r} does not run: {trouble}"
            for subscriber_id, trouble in opened.subscribers.troubles().items()
        ]
        try:
            await asyncio.wait_for(opened.store.load(space, "Readiness", "nobody"), patience)
        except TimeoutError:
            problems.append(f"the event store has not answered for {patience:g} seconds")
        except EventuaryError as error:
            problems.append(f"the event store: {error}")
        if problems:
            return await _answer(request, ServiceUnavailable("; ".join(problems)))
        waits = opened.subscribers.waits()
        return JSONResponse({"status": "ready", **({"waitsFor": waits} if waits else {})})

    return router


async def _answer(_: Request, error: EventuaryError) -> JSONResponse:
    headers = {"retry-after": "1"} if isinstance(error, ServiceUnavailable) else None
    return JSONResponse(
        {"error": error.code, "explanation": str(error)}, error.status, headers=headers
    )


#: For ``FastAPI(exception_handlers=…)``: errors that are the caller's business as JSON answers of
#: the event store's own form, ``{"error": code, "explanation": text}``. AggregateNotFound is 404
#: (EntityForgotten 410), Conflict 409, BadRequest 400, ServiceUnavailable 503 with ``Retry-After``.
#: Others stay what they are, 500: that the application may not read its own store, say.
exception_handlers: dict[
    int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]
] = {
    AggregateNotFound: _answer,
    BadRequest: _answer,
    Conflict: _answer,
    ServiceUnavailable: _answer,
}


def _opened(connection: HTTPConnection) -> _Opened:
    opened: _Opened | None = getattr(connection.app.state, "eventuary", None)
    if opened is None:
        raise RuntimeError(
            "the application has no event store: write FastAPI(lifespan=lifespan(store, …)), or "
            "enter that within its own lifespan"
        )
    return opened
