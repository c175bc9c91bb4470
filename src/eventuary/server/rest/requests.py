"""Request bodies of the REST API, decoded in one step (protocol.md, section 2).

Unknown fields are passed over; a field that may be left out may also be null. The texts of
msgspec's errors are turned around so that each begins with the field that is wrong.
"""

import re
from typing import TypeVar

import msgspec

from eventuary.errors import BadRequest
from eventuary.events import NewEvent, NewSnapshot


class CreateRequest(msgspec.Struct, gc=False, rename="camel"):
    """The body of ``POST /entity/{space}``."""

    entity_type_name: str
    events: list[NewEvent]
    entity_id: str | None = None
    triggering_event_token: str | None = None


class UpdateRequest(msgspec.Struct, gc=False, rename="camel"):
    """The body of ``POST /entity/{space}/{entityType}/{entityId}``."""

    entity_version: str
    events: list[NewEvent]
    triggering_event_token: str | None = None
    snapshot: NewSnapshot | None = None


_create = msgspec.json.Decoder(CreateRequest)
_update = msgspec.json.Decoder(UpdateRequest)

_Request = TypeVar("_Request", CreateRequest, UpdateRequest)

_PLACE = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)


def decode_create(body: bytes | bytearray) -> CreateRequest:
    """Read a creation. Raises BadRequest, naming the field."""
    return _decode(_create, body)


def decode_update(body: bytes | bytearray) -> UpdateRequest:
    """Read an update. Raises BadRequest, naming the field."""
    return _decode(_update, body)


def _decode(decoder: msgspec.json.Decoder[_Request], body: bytes | bytearray) -> _Request:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(_field_first(str(error))) from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"body: not JSON: {error}") from None
    except UnicodeDecodeError:
        raise BadRequest(f"body: {_not_utf8(body)}") from None
    except RecursionError:
        raise BadRequest("body: nested too deeply") from None


def _field_first(text: str) -> str:
    """Turn "Expected `str`, got `int` - at `$.events[0].eventType`" around."""
    found = _PLACE.fullmatch(text)
    what, field = found.groups() if found else (text, "")
    return f"{field or 'body'}: {what[:1].lower()}{what[1:]}"


def _not_utf8(body: bytes | bytearray) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"byte 0x{body[error.start]:02x} at offset {error.start} is not UTF-8"
    return "not UTF-8"
