"""From events to what is stored, and back, for a fixed set of event classes.

A class that is a struct is encoded by msgspec; another (a Pydantic model) brings ``__encode__`` and
``__decode__``, which give and take JSON. What can be known beforehand is looked up once, here.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from eventuary.errors import EventuaryError
from eventuary.events import NewEvent
from eventuary.framework.encrypted_text import is_encrypted
from eventuary.framework.event import AnyEvent, JsonObject
from eventuary.framework.metadata import Metadata, decode_metadata, encode_metadata
from eventuary.framework.upcasting import check_upcasters, upcast


class UnreadableEvent(EventuaryError):
    """A stored event does not have the shape that its class wants; the text says where."""

    code = "unreadable_event"
    status = 500


#: Metadata without this text says nothing of a version: it is 1.
_VERSIONED = '"schemaVersion"'

_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode_object = msgspec.json.Decoder(JsonObject).decode


class _Reading:
    """How events stored under one type become instances of one class."""

    __slots__ = ("convert", "decode", "event_class", "version")

    def __init__(self, event_class: type[AnyEvent]) -> None:
        self.event_class = event_class
        self.version = event_class.__event__.version
        decode, convert = _decoders(event_class)
        self.decode: Callable[[str], AnyEvent] = decode
        self.convert: Callable[[JsonObject], AnyEvent] = convert


class EventCodec:
    """Encodes and decodes events of these classes. Raises TypeError when two share a type."""

    def __init__(self, event_classes: Iterable[type[AnyEvent]]) -> None:
        # Plain tuples find what named ones have stored, and are made faster.
        self._by_type: dict[tuple[str, str], _Reading] = {}
        for event_class in event_classes:
            check_upcasters(event_class)
            reading = _Reading(event_class)
            for type_ in event_class.__event__.types:
                other = self._by_type.get(type_)
                if other is not None:
                    raise TypeError(
                        f"{event_class.__name__} and {other.event_class.__name__} are both stored "
                        f"as {type_.event_type!r} of {type_.entity_type!r}: give one another name="
                    )
                self._by_type[type_] = reading

    @property
    def selection(self) -> dict[str, list[str]]:
        """Entity types and their event types, as a subscription names them."""
        selection: dict[str, list[str]] = {}
        for entity_type, event_type in self._by_type:
            selection.setdefault(entity_type, []).append(event_type)
        return selection

    def encode(
        self, events: Sequence[AnyEvent], carried: Metadata, command_id: str | None = None
    ) -> list[NewEvent]:
        """Return events as they are stored, each with the metadata."""
        encoded = []
        for event in events:
            description = event.__event__
            encoded.append(
                NewEvent(
                    description.type.event_type,
                    _json_of(event),
                    encode_metadata(carried, description.version, command_id),
                )
            )
        return encoded

    def decode(
        self, entity_type: str, event_type: str, data: str, metadata: str | None
    ) -> AnyEvent | None:
        """Return a stored event; None when there is no class for its type.

        Raises UnreadableEvent.
        """
        reading = self._by_type.get((entity_type, event_type))
        if reading is None:
            return None
        try:
            if reading.version == 1 and (metadata is None or _VERSIONED not in metadata):
                return reading.decode(data)  # nearly all events, so their metadata is not read
            version = decode_metadata(metadata).schema_version
            if version == reading.version:
                return reading.decode(data)
            return reading.convert(upcast(reading.event_class, _decode_object(data), version))
        except Exception as error:
            # Whatever an upcaster or a model raises, the reader must learn which event it was.
            why = "it is encrypted: say encryption=" if is_encrypted(data) else error
            raise UnreadableEvent(
                f"a stored {event_type!r} of {entity_type!r} can't be read as "
                f"{reading.event_class.__name__}: {why}"
            ) from error


def _json_of(event: AnyEvent) -> str:
    if isinstance(event, msgspec.Struct):
        return _encode(event).decode()
    encoded: str = event.__encode__()  # type: ignore[attr-defined]  # what integrations bring
    return encoded


def _decoders(
    event_class: type[AnyEvent],
) -> tuple[Callable[[str], AnyEvent], Callable[[JsonObject], AnyEvent]]:
    if issubclass(event_class, msgspec.Struct):
        return (
            msgspec.json.Decoder(event_class).decode,
            lambda data: msgspec.convert(data, event_class, str_keys=True),
        )
    decode: Callable[[str], AnyEvent] = event_class.__decode__  # type: ignore[attr-defined]  # ditto
    return decode, lambda data: decode(_encode(data).decode())
