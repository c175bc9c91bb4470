"""What names a delivery in MESSAGE, ACK and NACK (protocol.md, section 3, rule 4).

The ``ack`` header is JSON: the event's id, and a receipt handle with the subscriber id, which one
client looks for, and the numbers by which we find the delivery again: the SUBSCRIBE it went to
(``consumer``; no other, on any connection, has its number), the swimlane, the offset. It comes back
as it was sent, escaped or not; or a client names the ``message-id`` instead, which holds the same
numbers.
"""

import re

import msgspec

from eventuary.stomp_frames import FrameError, shown, unescape_leniently

_AS_SENT = re.compile(
    rb'\{"id":"[^"]*","receiptHandle":\{"subscriberId":"([^"]*)",'
    rb'"swimlane":(\d{1,4}),"offset":(-?\d{1,18}),"consumer":(\d{1,15})\}\}'
)
_MESSAGE_ID = re.compile(rb"(\d{1,15})-(\d{1,4})-(-?\d{1,18})-\d{1,18}")


class ReceiptHandle(msgspec.Struct, frozen=True, gc=False):
    """A negative ``offset`` names a notification: nothing is to be acknowledged at it alone."""

    swimlane: int
    offset: int
    consumer: int
    #: None where it was not said, as in a ``message-id``.
    subscriber_id: str | None = None

    def names(self, subscriber_id: str) -> bool:
        """Whether this may be of a delivery to that subscriber."""
        return self.subscriber_id is None or self.subscriber_id == subscriber_id


class _Handle(msgspec.Struct, rename="camel"):
    swimlane: int
    offset: int
    consumer: int
    subscriber_id: str | None = None


class _Wire(msgspec.Struct, rename="camel"):
    receipt_handle: _Handle


_decode = msgspec.json.Decoder(_Wire).decode


def parse_receipt_handle(value: bytes) -> ReceiptHandle:
    """Return what an ACK or NACK names. Raises FrameError."""
    plain = value.replace(b"\\c", b":")
    match = _AS_SENT.fullmatch(plain)
    if match is not None:
        subscriber_id = match[1].decode("utf-8", "replace")
        return ReceiptHandle(int(match[2]), int(match[3]), int(match[4]), subscriber_id)
    match = _MESSAGE_ID.fullmatch(value.strip())
    if match is not None:
        return ReceiptHandle(int(match[2]), int(match[3]), int(match[1]))
    for text in (value, unescape_leniently(value)):
        try:
            handle = _decode(text).receipt_handle
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        return ReceiptHandle(handle.swimlane, handle.offset, handle.consumer, handle.subscriber_id)
    raise FrameError(f"{shown(value, 120)} is not the ack or message-id header of a MESSAGE")
