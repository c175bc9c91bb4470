"""The OpenAPI 3.1 document, made of the operations and of the structs that they read and answer."""

import http
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.errors import (
    BadRequest,
    EventuaryError,
    Forbidden,
    PayloadTooLarge,
    ServiceUnavailable,
    Unauthorized,
    UnsupportedMediaType,
)
from eventuary.limits import Limits
from eventuary.server.http_answers import ErrorAnswer
from eventuary.server.v1.constraints import PATH_PARAMETERS, WHOLE, body_constraints, constrain
from eventuary.server.v1.operation import Access, Operation
from eventuary.version import __version__

# JSON as it is written: the one place where values have no narrower type.
_Json = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")

#: Statuses that any request may have: broken or slow HTTP, limits, overload.
_EVERYWHERE = (BadRequest.status, 408, PayloadTooLarge.status, 431, ServiceUnavailable.status)

_MEANINGS = {
    400: "The request is malformed or outside a limit; the explanation names the field.",
    401: "Credentials are missing or wrong.",
    403: "The key does not allow this.",
    404: "What the path names does not exist.",
    408: "The request was not complete in time.",
    409: "The state of the store refuses it; nothing was changed.",
    413: "The body is over a limit.",
    415: "The body is not `application/json`.",
    431: "The headers are over a limit.",
    503: "Overload, storage that can't be reached, or shutting down; nothing was written, unless "
    "the explanation says that it is not known.",
}

_TAGS = (
    ("Entities", "Create, update, find: what clients published for Eventuate call."),
    ("Appends", "Several entities in one call."),
    ("Log", "Read and follow a space's events by position."),
    ("Subscriptions", "What an operator can see of subscriptions, and do to them."),
    ("Dead letters", "Events that a subscriber could not handle."),
    ("API keys", "Keys that are stored beside the events."),
    ("Health", "For whoever runs the server."),
)

_DESCRIPTION = """\
An event store: append events to entities, read them back, and follow them.

Every error has the same shape: `error`, a code for programs, and `explanation`, a sentence for \
people. Success is always 200. An unknown path answers 404, a method that a path does not have \
405, and a 500 is a defect of ours. A request that fails has stored nothing."""


def document(operations: Sequence[Operation], limits: Limits, policy: DeliveryPolicy) -> _Json:
    """Return the document of a server with these limits and default rules of delivery.

    ``msgspec.json.encode`` makes it text.
    """
    structs = list(dict.fromkeys(_structs(operations)))
    _, schemas = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    for schema in schemas.values():
        schema["description"] = _for_readers(schema["description"])
    for name, constraint in WHOLE.items():
        schemas[name].update(constraint)
    for name, constraints in body_constraints(limits, policy).items():
        for field, constraint in constraints.items():
            if name in schemas and field in schemas[name]["properties"]:
                constrain(schemas[name]["properties"][field], constraint)
    # A query's struct is shown as its parameters, not as a schema.
    parameters = {
        each.query.__name__: _query_parameters(schemas.pop(each.query.__name__))
        for each in operations
        if each.query is not None
    }
    paths: dict[str, _Json] = {}
    for operation in operations:
        query = [] if operation.query is None else parameters[operation.query.__name__]
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, query
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Eventuary",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {str(status): _failure(status, ErrorAnswer) for status in _MEANINGS},
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "API key id and secret.",
                }
            },
        },
    }


def _for_readers(docstring: str) -> str:
    """Turn a struct's docstring into prose with names as they are on the wire."""
    camel = re.sub(
        r"``([^`]+)``",
        lambda found: f"`{re.sub('_([a-z])', lambda each: each[1].upper(), found[1])}`",
        inspect.cleandoc(docstring),
    )
    return re.sub(r" \(protocol\.md, [^)]*\)", "", camel)


def _structs(operations: Iterable[Operation]) -> Iterable[type[msgspec.Struct]]:
    yield ErrorAnswer
    for operation in operations:
        for each in (operation.body, operation.query, operation.answer):
            if each is not None and not isinstance(each, str):
                yield each
        yield from operation.error_bodies.values()
        yield from operation.refers_to


def _query_parameters(struct: _Json) -> list[_Json]:
    parameters = []
    for name, field in struct["properties"].items():
        schema = {key: value for key, value in field.items() if key != "description"}
        if "default" in schema and schema["default"] is None:
            # To leave it out is the only way to say null in a query.
            schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
        parameters.append(
            {"name": name, "in": "query", "required": False, "schema": schema} | _described(field)
        )
    return parameters


def _described(schema: _Json) -> _Json:
    for each in (schema, *schema.get("anyOf", ())):
        if "description" in each:
            return {"description": each["description"]}
    return {}


def _operation(operation: Operation, query: list[_Json]) -> _Json:
    described = f"{operation.description}\n\n{operation.access.value}".strip()
    shown: _Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": described,
        "responses": {"200": _success(operation)}
        | {str(status): _failure_of(operation, status) for status in _statuses(operation)},
    }
    parameters = [_path_parameter(name) for name in _PARAMETER.findall(operation.path)]
    parameters += query
    parameters += [
        {"name": name, "in": "header", "required": False, "description": text}
        | {"schema": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}}
        for name, text in operation.headers.items()
    ]
    if parameters:
        shown["parameters"] = parameters
    if operation.body is not None:
        media: _Json = {"schema": _reference(operation.body)}
        if operation.sample.body is not None:
            media["example"] = operation.sample.body
        shown["requestBody"] = {"required": True, "content": {"application/json": media}}
    if operation.access is not Access.OPEN:
        shown["security"] = [{"apiKey": []}]
    return shown


def _statuses(operation: Operation) -> list[int]:
    errors: list[type[EventuaryError]] = list(operation.errors)
    if operation.access is not Access.OPEN:
        errors += [Unauthorized, Forbidden]
    if operation.body is not None:
        errors.append(UnsupportedMediaType)
    return sorted({*_EVERYWHERE, *(error.status for error in errors)})


def _path_parameter(name: str) -> _Json:
    return {"name": name, "in": "path", "required": True, **PATH_PARAMETERS[name]}


def _success(operation: Operation) -> _Json:
    if isinstance(operation.answer, str):
        media_type, schema = operation.answer, {"type": "string"}
    else:
        media_type, schema = "application/json", _reference(operation.answer)
    media: _Json = {"schema": schema}
    if operation.sample.answer is not None:
        media["example"] = operation.sample.answer
    return {"description": "Success.", "content": {media_type: media}}


def _failure_of(operation: Operation, status: int) -> _Json:
    body = operation.error_bodies.get(status)
    if body is None:
        return {"$ref": f"#/components/responses/{status}"}
    return _failure(status, body)


def _failure(status: int, body: type[msgspec.Struct]) -> _Json:
    shown: _Json = {
        "description": f"{http.HTTPStatus(status).phrase}. {_MEANINGS[status]}",
        "content": {"application/json": {"schema": _reference(body)}},
    }
    if status == Unauthorized.status:
        shown["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if status == ServiceUnavailable.status:
        shown["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return shown


def _reference(struct: type[msgspec.Struct]) -> _Json:
    return {"$ref": _REFERENCE.format(name=struct.__name__)}
