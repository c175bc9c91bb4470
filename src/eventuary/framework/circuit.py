"""A circuit: closed while the other side answers, open while it is down.

Failures in a row open it. After a pause one call is the trial, and the others wait for its outcome:
success closes the circuit, failure opens it again for twice as long.

A call that always fails must not hold up all the others, nor be taken for a system that is down.
So the event whose call failed last is not the trial while another may be; and once others got
through, its failures are its own: they do not open the circuit.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from eventuary.framework.outside_errors import OutsideSystemDown, Refused

_log = logging.getLogger("eventuary.outside")

#: Seconds for which an event whose call failed last lets others be the trial, at most.
_LONGEST_COURTESY = 1.0


class Circuit(msgspec.Struct, frozen=True):
    """When a circuit opens, and for how long. Durations are in seconds."""

    #: Calls in a row that fail until it opens.
    failures: int = 5
    #: How long it stays open at first; doubled each time that the trial fails.
    first_pause: float = 1.0
    #: The longest that it stays open before the next trial.
    longest_pause: float = 60.0

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that can't be followed."""
        if self.failures < 1:
            raise ValueError(f"failures: {self.failures} is below 1, the least")
        if self.first_pause <= 0:
            raise ValueError(f"first_pause: {self.first_pause} is not above 0 seconds")
        if self.longest_pause < self.first_pause:
            raise ValueError(
                f"longest_pause: {self.longest_pause} is below first_pause, {self.first_pause}"
            )

    def pause_after(self, openings: int) -> float:
        """Return how long it stays open after it was opened so often in a row."""
        return min(self.longest_pause, self.first_pause * 2.0 ** min(openings - 1, 30))


class CircuitBreaker:
    """The circuit of one system in this process. ``key`` names what a call is made for."""

    def __init__(self, system: str, circuit: Circuit) -> None:
        self.system = system
        self.numbers = circuit
        self._failures = 0
        #: How often in a row it was opened; 0: it is closed.
        self._openings = 0
        self._opened_at = 0.0
        self._trial_at = 0.0
        self._on_trial = False
        #: Whose call failed last.
        self._suspect: str | None = None
        #: Done, and made anew, when a trial begins or ends.
        self._changed: asyncio.Future[None] | None = None

    @property
    def closed(self) -> bool:
        """Whether calls are made as they come."""
        return self._openings == 0

    def check(self) -> None:
        """Raise OutsideSystemDown while it is open."""
        if not self.closed:
            raise OutsideSystemDown(self)

    async def pause(self) -> None:
        """Return when calls may be made again, or one may be tried."""
        while not self.closed and (rest := self._trial_at - time.monotonic()) > 0:
            await self._change(rest)

    @asynccontextmanager
    async def attempt(self, key: str) -> AsyncIterator[None]:
        """Make a call within the block, and take note of its outcome.

        Waits while another's trial is under way. Raises OutsideSystemDown where it may not be made.
        """
        on_trial = await self._admit(key)
        try:
            yield
        except Refused:
            self._succeeded(key)  # it has answered
            raise
        except Exception as error:
            self._failed(key, error, on_trial=on_trial)
            raise
        else:
            self._succeeded(key)
        finally:
            if on_trial:
                self._on_trial = False
                self._tell()

    async def _admit(self, key: str) -> bool:
        """Wait for one's turn; return whether this is the trial."""
        courteous = key == self._suspect
        while not self.closed:
            if self._on_trial:
                await self._change()
            elif self._trial_at > time.monotonic():
                raise OutsideSystemDown(self)
            elif courteous:
                courteous = False
                await self._change(
                    min(_LONGEST_COURTESY, self.numbers.pause_after(self._openings) / 2)
                )
            else:
                self._on_trial = True
                self._tell()
                return True
        return False

    def _succeeded(self, key: str) -> None:
        self._failures = 0
        if key == self._suspect:
            self._suspect = None
        if not self.closed:
            self._openings = 0
            _log.warning(
                "outside system %r answers again, after %.0f s",
                self.system,
                time.monotonic() - self._opened_at,
            )
            self._tell()

    def _failed(self, key: str, error: Exception, *, on_trial: bool) -> None:
        if self.closed:
            if key == self._suspect:
                return  # since it failed last, others got through
            self._failures += 1
            if self._failures < self.numbers.failures:
                return
        elif not on_trial:
            return  # it was under way when the circuit opened
        self._open(key, error)

    def _open(self, key: str, error: Exception) -> None:
        self._failures = 0
        self._suspect = key
        self._openings += 1
        now = time.monotonic()
        pause = self.numbers.pause_after(self._openings)
        self._trial_at = now + pause
        if self._openings == 1:
            self._opened_at = now
            _log.warning(
                "outside system %r is down, what needs it waits: %s: %s",
                self.system,
                type(error).__name__,
                error,
            )
        else:
            _log.info(
                "outside system %r is still down, tried again in %g s: %s: %s",
                self.system,
                pause,
                type(error).__name__,
                error,
            )

    async def _change(self, seconds: float | None = None) -> None:
        """Wait until a trial begins or ends."""
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._changed], timeout=seconds)

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None
