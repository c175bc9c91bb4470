"""What a receiver has in hand, what its answers mean on the wire, and what it must not get.

Sans I/O: messages and answers in, frames out. On the wire each message is acknowledged by itself,
whatever the receiver's mode is, so that nothing counts as done that the receiver was never given: a
server can't know how much of what it has sent has arrived.

A refusal takes effect when the server reads it. What it had sent of that swimlane by then, from the
refused event on, it sends again, in order; so whatever of that arrives before the server's receipt
for the refusal is passed over.
"""

from collections.abc import Sequence

import msgspec

from eventuary.delivery.consumer import AckMode
from eventuary.remote.messages import Message
from eventuary.stomp_frames import Version, escape

#: Characters of a reason that are sent: one header has its limit.
_MOST_REASON_CHARACTERS = 2000


class Refusal(msgspec.Struct, frozen=True):
    """One that the server has not yet confirmed."""

    number: int
    swimlane: int
    offset: int


class Outstanding:
    """Of one subscription, over all its connections, one after the other."""

    def __init__(self, mode: AckMode) -> None:
        self._mode = mode
        #: The acknowledging headers of what is in the receiver's hands, in the order in which it
        #: was handed over.
        self._acks: dict[tuple[int, int], bytes] = {}
        #: The header of the last acknowledgement given over the present connection.
        self.last_acknowledged: bytes | None = None
        self._refusals: dict[int, Refusal] = {}
        self._numbers = 0
        #: By swimlane, the event that was refused last, and how often in a row.
        self._failed: dict[int, tuple[int, int]] = {}
        #: Swimlanes of which the receiver knows that they have reached the present.
        self._told: set[int] = set()

    def forget(self) -> None:
        """The connection is gone, and with it whatever could be answered."""
        self._acks.clear()
        self._refusals.clear()
        self.last_acknowledged = None

    def wanted(self, message: Message) -> Message | None:
        """Return an arriving message as it is to be handed over; None: it is passed over."""
        swimlane, offset = message.key
        if self._refusals and any(
            refusal.swimlane == swimlane and offset >= refusal.offset
            for refusal in self._refusals.values()
        ):
            return None
        if message.is_notification:
            return None if swimlane in self._told else message
        if self._failed:
            failed, failures = self._failed.get(swimlane, (0, 0))
            if failed == offset:
                delivery = msgspec.structs.replace(message.delivery, attempt=failures + 1)
                return message._replace(delivery=delivery)
        return message

    def hand_over(self, messages: Sequence[Message]) -> bytes:
        """The receiver gets these. Returns frames to send once it has them."""
        acks = self._acks
        for message in messages:
            _, key, ack = message
            if key in acks:
                del acks[key]  # it comes last now
            acks[key] = ack
            if message.is_notification:
                self._told.add(key[0])
        if self._mode is not AckMode.AUTO:
            return b""
        return self._acknowledge(list(acks))

    def acknowledge(self, swimlane: int, offset: int) -> bytes:
        """Return the frames that say that a delivery is done; empty: it was not outstanding."""
        key = (swimlane, offset)
        if key not in self._acks:
            return b""
        if self._mode is not AckMode.CUMULATIVE:
            return self._acknowledge([key])
        done = []
        for handed in self._acks:
            done.append(handed)
            if handed == key:
                break
        return self._acknowledge(done)

    def refuse(
        self, swimlane: int, offset: int, reason: str, *, for_good: bool = False
    ) -> tuple[Refusal, bytes] | None:
        """Return the refusal, and the frame of it without its receipt; None: not outstanding."""
        ack = self._acks.pop((swimlane, offset), None)
        if ack is None:
            return None
        if self._mode is AckMode.CUMULATIVE:
            # The receiver drops what it has of the swimlane: a later answer must not cover it.
            for key in [key for key in self._acks if key[0] == swimlane and key[1] > offset]:
                del self._acks[key]
        self._numbers += 1
        refusal = Refusal(self._numbers, swimlane, offset)
        self._refusals[refusal.number] = refusal
        failed, failures = self._failed.get(swimlane, (0, 0))
        self._failed[swimlane] = (offset, failures + 1 if failed == offset else 1)
        message = escape(reason[:_MOST_REASON_CHARACTERS], Version.V12)
        more = b"dead-letter:true\n" if for_good else b""
        return refusal, b"NACK\nid:%b\nmessage:%b\n%b" % (ack, message, more)

    def took_effect(self, refusal: Refusal) -> None:
        """The server has confirmed a refusal: what arrives from now on was sent after it."""
        self._refusals.pop(refusal.number, None)

    def _acknowledge(self, done: list[tuple[int, int]]) -> bytes:
        headers = [self._acks.pop(key) for key in done]
        self.last_acknowledged = headers[-1]
        return b"ACK\nid:%b\n\n\x00" % b"\n\n\x00ACK\nid:".join(headers)
