"""From operations to Starlette's routes: authentication, authorisation, errors, in one place."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from eventuary.errors import EventuaryError, MethodNotAllowed, NotFound
from eventuary.server.principal import Authenticator, LoginFailed
from eventuary.server.sockets import address_of
from eventuary.server.v1.answers import error_answer, failure
from eventuary.server.v1.call import Call
from eventuary.server.v1.operation import Access, Operation

_log = logging.getLogger("eventuary.http")

#: Answers since the start, by status.
Answers = Counter[int]


class EncodedPaths:
    """Lets routes match the path as it was sent, so that ``%2F`` in a segment is no slash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the encoded path; ``Call.segment`` decodes."""
        if scope["type"] == "http" and "raw_path" in scope:
            scope = {**scope, "path": scope["raw_path"].decode("latin-1")}
        await self._app(scope, receive, send)


class PathEndpoint:
    """All operations of one path."""

    def __init__(
        self,
        operations: Sequence[Operation],
        authenticator: Authenticator,
        most_bytes: int,
        answers: Answers,
    ) -> None:
        self._by_method = {each.method: each for each in operations}
        self._authenticator = authenticator
        self._most_bytes = most_bytes
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer = await self._answer(Request(scope, receive))
        self._answers[answer.status_code] += 1
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        operation = self._by_method.get(request.method)
        if operation is None or operation.handle is None:
            return self._method_not_allowed(request.method)
        try:
            call = Call(request, most_bytes=self._most_bytes)
            if operation.access is not Access.OPEN:
                credentials = request.headers.get("authorization")
                principal = self._authenticator.authenticate_header(
                    None if credentials is None else credentials.encode("latin-1")
                )
                operation.access.check(principal, call.space)
                call.principal = principal
            return await operation.handle(call)
        except LoginFailed as error:
            self._authenticator.note(error, address_of(request.client))
            return failure(error)
        except EventuaryError as error:
            return failure(error)
        except Exception:  # noqa: BLE001 - whatever it is, it is answered
            _log.exception("%s %s failed unexpectedly", operation.method, operation.path)
            return error_answer(
                500, "internal_error", "an unexpected error; the server's log has it"
            )

    def _method_not_allowed(self, method: str) -> Response:
        allowed = ", ".join(sorted(self._by_method))
        return error_answer(
            MethodNotAllowed.status,
            MethodNotAllowed.code,
            f"{method[:40]} is not a method of this route; allowed: {allowed}",
            {"allow": allowed},
        )


def routes_of(
    operations: Iterable[Operation],
    authenticator: Authenticator,
    most_bytes: int,
    answers: Answers,
) -> list[Route]:
    """Return one route for each path of the operations that are answered here."""
    by_path: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.handle is not None:
            by_path[operation.path].append(operation)
    return [
        Route(path, PathEndpoint(those, authenticator, most_bytes, answers))
        for path, those in by_path.items()
    ]


async def http_failure(request: Request, error: Exception) -> Response:
    """Answer what no route is for: the path is none, or a page is asked for by another method."""
    if isinstance(error, HTTPException) and error.status_code == MethodNotAllowed.status:
        headers = dict(error.headers or {})
        return error_answer(
            error.status_code,
            MethodNotAllowed.code,
            f"{request.method[:40]} is not a method of this route; "
            f"allowed: {headers.get('Allow', '')}",
            headers,
        )
    path = request.scope["path"][:200]
    return error_answer(NotFound.status, NotFound.code, f"no route {path}; /openapi.json has all")
