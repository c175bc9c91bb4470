"""Answers of these routes: JSON, errors included."""

import msgspec
from starlette.responses import Response

from eventuary.errors import EventuaryError, ServiceUnavailable, Unauthorized
from eventuary.server.http_answers import encode_error

_encode = msgspec.json.Encoder().encode

_JSON = "application/json"


def json_answer(answer: msgspec.Struct, status: int = 200) -> Response:
    """Return a struct as it is encoded."""
    return Response(_encode(answer), status, media_type=_JSON)


def error_answer(
    status: int, error: str, explanation: str, headers: dict[str, str] | None = None
) -> Response:
    """Return a failure in the shape that all have (protocol.md, section 2, "Errors")."""
    return Response(encode_error(error, explanation), status, headers, media_type=_JSON)


def failure(error: EventuaryError) -> Response:
    """Return what a caller is told of an error."""
    headers = {}
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = 'Basic realm="eventuary"'
    elif isinstance(error, ServiceUnavailable):
        headers["retry-after"] = "1"
    return error_answer(error.status, error.code, str(error), headers)
