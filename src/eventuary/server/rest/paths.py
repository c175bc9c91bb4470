"""What a request target under ``/entity/`` names (protocol.md, section 2).

``/entity/{space}`` and ``/entity/{space}/{entityType}/{entityId}``. Entity types may hold
slashes and come percent-encoded or raw, and entity ids never hold one: so the first segment is
the space, the last the id, and everything between them the type.
"""

from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from eventuary.errors import BadRequest, NotFound

#: Every target that this package answers begins so.
PREFIX = b"/entity/"

_TOKEN = b"triggeringEventToken"


class Target(NamedTuple):
    """A target taken apart; ``entity_type`` and ``entity_id`` are both None for creation."""

    space: str
    entity_type: str | None
    entity_id: str | None
    triggering_event_token: str | None


def parse_target(target: bytes) -> Target:
    """Take a request target apart.

    Raises NotFound when it has neither of the two shapes, BadRequest when it is not UTF-8.
    """
    path, _, query = target.partition(b"?")
    token = _find_token(query) if query else None
    space, _, rest = path[len(PREFIX) :].partition(b"/")
    if not space:
        raise _no_route(path)
    if not rest:
        if path.endswith(b"/"):
            raise _no_route(path)
        return Target(_text(space, "space"), None, None, token)
    entity_type, _, entity_id = rest.rpartition(b"/")
    if not entity_type or not entity_id:
        raise _no_route(path)
    return Target(
        _text(space, "space"),
        _text(entity_type, "entityType"),
        _text(entity_id, "entityId"),
        token,
    )


def _no_route(path: bytes) -> NotFound:
    return NotFound(
        f"no route {path[:200].decode('utf-8', 'replace')}; there are /entity/{{space}} and "
        "/entity/{space}/{entityType}/{entityId}"
    )


def _text(part: bytes, name: str) -> str:
    """Undo percent-encoding. A ``+`` stays one: this is not a form."""
    try:
        return (unquote_to_bytes(part) if b"%" in part else part).decode()
    except UnicodeDecodeError:
        raise BadRequest(
            f"{name}: {part[:80].decode('latin-1')!r} in the path is not percent-encoded UTF-8"
        ) from None


def _find_token(query: bytes) -> str | None:
    for parameter in query.split(b"&"):
        name, _, value = parameter.partition(b"=")
        if name == _TOKEN:
            return _text(value, "triggeringEventToken") or None
    return None
