"""What a SUBSCRIBE asks for: the JSON in its ``destination`` (protocol.md, section 3, rule 2)."""

import msgspec

from eventuary.errors import BadRequest
from eventuary.event_store import Durability, ReadFrom
from eventuary.events import DEFAULT_SPACE
from eventuary.stomp_frames import Version, escape, shown, unescape_leniently


class Destination(msgspec.Struct, frozen=True):
    """A subscription as a client names it."""

    subscriber_id: str
    space: str
    selection: dict[str, list[str]]
    durability: Durability
    read_from: ReadFrom
    progress_notifications: bool


class _Wire(msgspec.Struct, rename="camel"):
    subscriber_id: str
    entity_types_and_events: dict[str, list[str]]
    space: str | None = None
    # Clients send values of no meaning here: whatever it is, it is looked at later.
    options: object = None
    durability: object = None
    read_from: object = None
    progress_notifications: object = None


#: What a destination looks like, for those who sent another.
_LIKE = '{"subscriberId": …, "entityTypesAndEvents": {…}}'

#: Bytes of the longest that is sent back. A client of 1.1 and 1.2 refuses header lines of over
#: 10,240 characters.
_LONGEST_ECHO = 10_000

_decode = msgspec.json.Decoder(_Wire).decode


def parse_destination(value: bytes) -> Destination:
    """Return what ``value``, a header as it came, asks for.

    It is read as JSON; if it is none, its escapes are undone first, whatever the version, because
    one client escapes although it speaks 1.0. Raises BadRequest.
    """
    try:
        wire = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            wire = _decode(unescape_leniently(value))
        except UnicodeDecodeError:
            raise BadRequest("destination: is not UTF-8") from None
        except RecursionError:
            raise BadRequest("destination: is nested too deeply") from None
        except msgspec.DecodeError as error:
            if not value.lstrip().startswith(b"{"):
                raise BadRequest(
                    f"destination: expected JSON like {_LIKE}, got "
                    f"{shown(unescape_leniently(value), 80)}"
                ) from None
            raise BadRequest(f"destination: {error}") from None
    options = wire.options if isinstance(wire.options, dict) else {}
    return Destination(
        wire.subscriber_id,
        wire.space if wire.space is not None else DEFAULT_SPACE,
        wire.entity_types_and_events,
        Durability.TRANSIENT
        if options.get("durability", wire.durability) == Durability.TRANSIENT
        else Durability.DURABLE,
        ReadFrom.END
        if options.get("readFrom", wire.read_from) == ReadFrom.END
        else ReadFrom.BEGINNING,
        options.get("progressNotifications", wire.progress_notifications) is True,
    )


def echo(value: bytes, destination: Destination, version: Version) -> bytes:
    """Return the header ``destination`` of a subscription's messages: ``value``, as it came.

    One that is too long for a client to read says in 1.1 and 1.2 whose it is, and no more: there a
    subscription is found by the header ``subscription``, but in 1.0 by exactly this text.
    """
    if version is Version.V10 or len(value) <= _LONGEST_ECHO:
        return value
    short = {"subscriberId": destination.subscriber_id, "space": destination.space}
    return escape(msgspec.json.encode(short).decode(), version)
