"""From the bytes of a request to structs, with errors that begin with the field that is wrong."""

import re
from collections.abc import Iterable
from typing import Annotated, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from eventuary.errors import BadRequest

_PLACE = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def decode_body(decoder: msgspec.json.Decoder[_Struct], body: bytes) -> _Struct:
    """Read a JSON body. Raises BadRequest, naming the field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(_field_first(str(error), "body")) from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"body: not JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"body: not UTF-8: {error.reason}") from None
    except RecursionError:
        raise BadRequest("body: nested too deeply") from None


def decode_query(wanted: type[_Struct], query: bytes) -> _Struct:
    """Read a query string into a struct; fields that are lists may be given several times.

    A parameter that the route does not have is refused: a filter that is misspelt must not quietly
    select everything. Raises BadRequest, naming the parameter.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
    values: dict[str, str | list[str]] = {}
    for name, value in _parameters(query):
        field = fields.get(name)
        if field is None:
            known = ", ".join(fields) or "none"
            raise BadRequest(f"{name[:80]}: is not a parameter of this route; known: {known}")
        if _is_list(field.type):
            several = values.setdefault(name, [])
            if isinstance(several, list):
                several.append(value)
        elif name in values:
            raise BadRequest(f"{name}: is given twice")
        else:
            values[name] = value
    try:
        return msgspec.convert(values, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(_field_first(str(error), "query")) from None


def decode_segment(segment: str, name: str) -> str:
    """Undo the percent-encoding of a path segment, ``%2F`` included. Raises BadRequest."""
    try:
        return unquote_to_bytes(segment.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise BadRequest(
            f"{name}: {segment[:80]!r} in the path is not percent-encoded UTF-8"
        ) from None


def _parameters(query: bytes) -> Iterable[tuple[str, str]]:
    try:
        return parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("query: is not percent-encoded UTF-8") from None


def _is_list(annotation: object) -> bool:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_origin(annotation) is list


def _field_first(text: str, otherwise: str) -> str:
    """Turn "Expected `int` >= 0 - at `$.after`" around."""
    found = _PLACE.fullmatch(text)
    what, field = found.groups() if found else (text, "")
    return f"{field or otherwise}: {what[:1].lower()}{what[1:]}"
