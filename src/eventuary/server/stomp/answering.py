"""ACK and NACK, and their receipts (protocol.md, section 3, rules 4 and 6).

They are taken at once. The receipt of a NACK is sent at once: what the client reads before it was
sent before the refusal took effect. That of an ACK waits until the position that it moved is on
disk.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from eventuary.errors import EventuaryError
from eventuary.server.stomp.receipt_handle import parse_receipt_handle
from eventuary.stomp_frames import Frame, FrameError, shown, unescape, write_frame

if TYPE_CHECKING:
    from eventuary.server.stomp.session import Session


class Answering:
    """Belongs to one session."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._owed: list[bytes] = []
        self._flusher: asyncio.Task[None] | None = None

    def take(self, frame: Frame) -> None:
        """Carry out an ACK or a NACK. Raises FrameError."""
        session = self._session
        headers = frame.headers
        value = headers.get("id") or headers.get("message-id")
        if value is None:
            raise FrameError(f"id: is missing; {frame.command} names the MESSAGE it answers")
        handle = parse_receipt_handle(value)
        if "transaction" in headers:
            raise FrameError(f"transaction: {frame.command} can't be part of one here")
        for_good = frame.command == "NACK" and _for_good(headers)
        # What is unknown is late: its subscription ended, or its swimlane has moved on.
        subscribed = session.subscriptions.by_number(handle.consumer)
        if subscribed is not None and handle.names(subscribed.consumer.subscriber_id):
            if frame.command == "ACK":
                subscribed.consumer.acknowledge(handle.swimlane, handle.offset)
            else:
                reason = unescape(headers.get("message", b""), session.version)
                subscribed.consumer.refuse(
                    handle.swimlane,
                    handle.offset,
                    reason or "refused by NACK",
                    for_good=for_good,
                )
        if "receipt" not in headers:
            return
        if frame.command == "NACK":
            session.send_receipt(frame)
        else:
            self._owed.append(headers["receipt"])
            if self._flusher is None:
                self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def settle(self) -> None:
        """Return when the receipts that are owed are sent, or can't be."""
        if self._flusher is not None:
            await asyncio.wait([self._flusher])

    async def _flush(self) -> None:
        """Send the receipts of ACKs once the positions that they moved are on disk."""
        session = self._session
        while self._owed and session.connected:
            owed, self._owed = self._owed, []
            try:
                for subscribed in session.subscriptions.all():
                    await subscribed.consumer.flush()
            except EventuaryError as error:
                session.fail(error)
                break
            if session.connected:
                for receipt in owed:
                    session.write(write_frame("RECEIPT", {"receipt-id": receipt}))
        self._flusher = None


def _for_good(headers: Mapping[str, bytes]) -> bool:
    """Return whether a NACK wants a dead letter at once: a header of ours. Raises FrameError."""
    value = headers.get("dead-letter", b"false")
    if value not in (b"true", b"false"):
        raise FrameError(f"dead-letter: {shown(value, 40)} is neither true nor false")
    return value == b"true"
