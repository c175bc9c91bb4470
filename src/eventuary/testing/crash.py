"""A crash: from a moment on, a process does nothing any more; only what it stored is there.

The moments are the boundaries of its calls to the store: what is done in between is done by the
store, wholly or not at all. So a crash at each boundary, one after the other, tries all there are.
"""

import asyncio


class Process:
    """What shares a fate. Calls of the dead wait until they are buried, and then are cancelled."""

    def __init__(self) -> None:
        #: What each boundary passed so far was, in order.
        self.steps: list[str] = []
        self._crash_at: int | None = None
        self._crashed = asyncio.Event()
        self._buried = asyncio.Event()

    @property
    def dead(self) -> bool:
        """Whether it has crashed."""
        return self._crashed.is_set()

    def crash_at(self, step: int | None) -> None:
        """Crash at the ``step``-th boundary from the beginning, 1 is the first; None: at none.

        Raises ValueError for one that is passed already.
        """
        if step is not None and step <= len(self.steps):
            raise ValueError(f"step {step}: {len(self.steps)} steps are passed already")
        self._crash_at = step

    def crash(self) -> None:
        """Crash now."""
        self._crashed.set()

    def bury(self) -> None:
        """Cancel the calls that wait, and all that are still made."""
        self._crashed.set()
        self._buried.set()

    async def crashed(self) -> None:
        """Return when it has crashed."""
        await self._crashed.wait()

    def passes(self, step: str) -> bool:
        """Pass a boundary; False: it is dead, or dies here."""
        if self.dead:
            return False
        self.steps.append(step)
        if len(self.steps) == self._crash_at:
            self._crashed.set()
        return not self.dead

    async def live_through(self, step: str) -> None:
        """Pass a boundary. The dead do not return: they are cancelled in the end."""
        if not self.passes(step):
            await self.stay()

    async def stay(self) -> None:
        """Do nothing any more. Raises CancelledError."""
        task = asyncio.current_task()
        if task is None or not task.cancelling():  # else it is being cleared away already
            await self._buried.wait()
        raise asyncio.CancelledError("the process has crashed")
