"""Time-outs of clients, in which only the time counts in which the server could have heard them.

A process may stand still: its machine is overloaded, a disk holds it up, somebody has stopped it.
When it goes on, what its clients have sent meanwhile is not read yet, and what they would have
taken is not written. So the time is counted in steps, and one whose end comes late is not counted.
"""

import asyncio
from collections.abc import Callable

#: Steps of a time-out, so that standing still is noticed wherever it begins.
_STEPS = 4


class Countdown:
    """Calls ``then`` after so many seconds, unless it is cancelled."""

    def __init__(self, seconds: float, then: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._step = seconds / _STEPS
        self._left = _STEPS
        self._then = then
        self._begin_step()

    def cancel(self) -> None:
        """Count no more."""
        self._timer.cancel()

    def _begin_step(self) -> None:
        self._due = self._loop.time() + self._step
        self._timer = self._loop.call_at(self._due, self._end_step)

    def _end_step(self) -> None:
        if self._loop.time() - self._due <= self._step / 2:
            self._left -= 1
        if self._left:
            self._begin_step()
        else:
            self._then()
