"""MESSAGE frames, made for speed: what is the same for all of a subscription is made once.

The body's part that is the same for all subscribers is encoded once per event and kept with it;
only the event token, which names the subscriber, is added here (protocol.md, section 3, rule 5).

It is UTF-8, but in 1.0 ASCII, with JSON's escapes for all else: clients of 1.0 decode each read for
itself, and lose a character that comes in two.
"""

import json
from collections.abc import Sequence

import msgspec

from eventuary.delivery.consumer import Delivery
from eventuary.events import END_OF_CURRENT_EVENTS, LogEvent
from eventuary.stomp_frames import Version, escape
from eventuary.tokens import token_suffix


class _Body(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    id: str
    entity_id: str
    entity_type: str
    event_type: str
    event_data: str
    swimlane: int
    offset: int
    event_metadata: str | None = None


_encode = msgspec.json.Encoder().encode


class MessageWriter:
    """Writes the MESSAGE frames of one SUBSCRIBE.

    ``destination`` and ``subscription`` (None: the client gave no id) are header values, escaped as
    they are to be sent; ``number`` names the SUBSCRIBE, and no other.
    """

    def __init__(
        self,
        version: Version,
        destination: bytes,
        subscription: bytes | None,
        subscriber_id: str,
        number: int,
    ) -> None:
        self._sent = 0
        self._in_ascii = version is Version.V10
        head = b"MESSAGE\ndestination:" + destination
        if subscription is not None:
            head += b"\nsubscription:" + subscription
        head += b"\ncontent-type:application/json\nmessage-id:%d-" % number
        colon = b":" if version is Version.V10 else b"\\c"
        subscriber = escape(subscriber_id, version)
        ack = (b'{"id"%b"', b'","receiptHandle"%b{"subscriberId"%b"%b","swimlane"%b')
        # Filled with swimlane, offset, running number; event id, swimlane, offset; length; the
        # body's two parts and the event id between. A percent sign in a constant is doubled.
        constants = (
            head.replace(b"%", b"%%"),
            (ack[0] % colon).replace(b"%", b"%%"),
            (ack[1] % (colon, colon, subscriber, colon)).replace(b"%", b"%%"),
            b',"offset"' + colon,
            b',"consumer"' + colon + b"%d}}" % number,
            token_suffix(subscriber_id).encode().replace(b"%", b"%%"),
        )
        self._suffix_length = len(token_suffix(subscriber_id)) + len(b',"eventToken":""}') + 33
        self._template = (
            b"%b%%d-%%d-%%d\nack:%b%%b%b%%d%b%%d%b\ncontent-length:%%d\n\n"
            b'%%b,"eventToken":"%%b%b"}\x00' % constants
        )

    def write(self, deliveries: Sequence[Delivery]) -> bytes:
        """Return the frames, one behind the other."""
        template = self._template
        more = self._suffix_length
        in_ascii = self._in_ascii
        frames = []
        sent = self._sent
        for delivery in deliveries:
            event = delivery.event
            shared = event.encoded
            if shared is None:
                shared = event.encoded = _encode(_body(event))[:-1]
            if in_ascii and not shared.isascii():
                shared = event.encoded_in_ascii
                if shared is None:
                    shared = event.encoded_in_ascii = _encode_in_ascii(_body(event))[:-1]
            event_id = event.event_id.encode()
            swimlane = delivery.swimlane
            offset = delivery.offset
            if event.event_type == END_OF_CURRENT_EVENTS:
                offset = -offset  # so that its acknowledgement is not taken for the last event's
            sent += 1
            frames.append(
                template
                % (
                    swimlane,
                    offset,
                    sent,
                    event_id,
                    swimlane,
                    offset,
                    len(shared) + more,
                    shared,
                    event_id,
                )
            )
        self._sent = sent
        return b"".join(frames)


def _body(event: LogEvent) -> _Body:
    """Return the body but for its token, which comes in the place of the closing brace."""
    return _Body(
        event.event_id,
        event.entity_id,
        event.entity_type,
        event.event_type,
        event.event_data,
        event.swimlane,
        event.position,
        event.metadata,
    )


def _encode_in_ascii(body: _Body) -> bytes:
    return json.dumps(msgspec.to_builtins(body), separators=(",", ":")).encode()
