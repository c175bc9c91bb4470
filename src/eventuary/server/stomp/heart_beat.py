"""Heart-beats to the client, whenever nothing else was sent for the agreed time.

They are line ends, but in 1.0, which has no heart-beats. The one client that wants some there all
the same takes a line end that it reads together with a MESSAGE for a part of it, and then does not
know it for a MESSAGE. Any bytes are a sign of life to it, so it gets a whole frame that it passes
over: a RECEIPT that nothing asked for.
"""

import asyncio
from typing import Protocol

from eventuary.stomp_frames import Version, write_frame

#: The shortest interval that we promise, in milliseconds.
_SHORTEST = 1000

_LINE_END = b"\n"
_FRAME = write_frame("RECEIPT", {"receipt-id": b"heart-beat"})

#: A beat is sent after this part of the interval: on its way it may be late.
_EARLY = 0.5


class _Wire(Protocol):
    def write(self, data: bytes) -> None:
        """Send bytes."""


class HeartBeat:
    """Runs from the CONNECT on. ``interval`` is in milliseconds: what the server promises."""

    def __init__(self, wire: _Wire, wanted: int, version: Version) -> None:
        self.interval = max(_SHORTEST, wanted)
        self._wire = wire
        self._bytes = _FRAME if version is Version.V10 else _LINE_END
        self._loop = asyncio.get_running_loop()
        self._pause = self.interval * _EARLY / 1000
        self._sent_at = self._loop.time()
        self._timer = self._loop.call_later(self._pause, self._beat)

    def sent(self) -> None:
        """Something was sent: the next beat may be later."""
        self._sent_at = self._loop.time()

    def stop(self) -> None:
        """Send no more."""
        self._timer.cancel()

    def _beat(self) -> None:
        rest = self._sent_at + self._pause - self._loop.time()
        if rest <= 0:
            self._wire.write(self._bytes)
            self._sent_at = self._loop.time()
            rest = self._pause
        self._timer = self._loop.call_later(rest, self._beat)
