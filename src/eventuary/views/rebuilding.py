"""Rebuilding a view: a new generation from the first event on, beside the live one.

The new generation has a subscription of its own, from the beginning, which remembers how far it
came: interrupted, a rebuild goes on from there, in whichever process. When it has caught up it is
made the live one in one step; processes that feed the view notice, and go on with it. The one that
was live is dropped a minute later.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from eventuary.errors import NotFound, ServiceUnavailable
from eventuary.event_store import EventStore
from eventuary.views.declaration import Declaration
from eventuary.views.feeding import RunningView
from eventuary.views.generation import Generation, GenerationRetired, building
from eventuary.views.retiring import drop_generation, drop_retired
from eventuary.views.storage import KeptView

#: Seconds between two reports of progress.
_REPORT_EVERY = 0.25

#: Seconds between two counts of what is left.
_COUNT_EVERY = 2.0

_log = logging.getLogger("eventuary.view")


class Progress(msgspec.Struct, frozen=True):
    """How far a rebuild has come."""

    #: The generation that it fills.
    generation: int
    #: Events that were applied since it began, or went on.
    done: int
    #: Events that are left; counted up to a million.
    left: int
    #: Events that could not be applied: it waits for an operator.
    dead_letters: int
    #: Why it waits, when it does.
    trouble: str | None


async def rebuild(
    declaration: Declaration[Any],
    kept: KeptView[Any],
    store: EventStore,
    *,
    restart: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> int:
    """Rebuild a view over a store that is open; return the generation that is live then.

    ``restart``: what an interrupted rebuild has filled is dropped, and it begins anew.
    Raises ServiceUnavailable when the subscription is ended by somebody.
    """
    await drop_retired(declaration, kept, store)
    if restart:
        begun = building(await kept.generations())
        if begun is not None:
            await _give_up(declaration, kept, store, begun)
    await kept.open_live()  # what was never opened has a generation to be switched from
    number = await kept.open_building()
    filling = RunningView(declaration, kept, store, generation=number)
    await filling.start()
    progress = _Watch(filling, store, declaration, number)
    try:
        report(await progress.look())
        while not await _caught_up(filling, store, declaration):
            report(await progress.look())
        await _switch(kept, number)
        report(progress.end())
    finally:
        await filling.stop()
    return number


async def _switch(kept: KeptView[Any], number: int) -> None:
    try:
        await kept.switch(number)
    except GenerationRetired as error:
        # Another rebuild began anew.
        raise ServiceUnavailable(f"the rebuild of view {kept.view!r} was ended: {error}") from error


async def _give_up(
    declaration: Declaration[Any], kept: KeptView[Any], store: EventStore, begun: Generation
) -> None:
    try:
        await drop_generation(declaration, kept, store, begun)
    except ValueError as error:
        # It was caught up, and switched to, meanwhile: the next one is begun anew.
        _log.info("rebuild of view %r: nothing to give up: %s", declaration.name, error)


async def _caught_up(
    filling: RunningView[Any], store: EventStore, declaration: Declaration[Any]
) -> bool:
    if filling.ended_because is not None:
        raise ServiceUnavailable(
            f"the rebuild of view {declaration.name!r} was ended: {filling.ended_because}"
        )
    begun = time.monotonic()
    try:
        if await store.caught_up(declaration.space, filling.subscriber_id, _REPORT_EVERY):
            return True
    except (ServiceUnavailable, NotFound) as error:
        _log.info("rebuild of view %r: caught up? %s", declaration.name, error)
    # It is told at once when the connection of the rebuild is being mended.
    await asyncio.sleep(max(0.0, _REPORT_EVERY - (time.monotonic() - begun)))
    return False


class _Watch:
    """Counts what is left, seldom: the store has to count it."""

    def __init__(
        self,
        filling: RunningView[Any],
        store: EventStore,
        declaration: Declaration[Any],
        number: int,
    ) -> None:
        self._filling = filling
        self._store = store
        self._declaration = declaration
        self._number = number
        self._counted_at = -_COUNT_EVERY
        self._counted = 0
        self._done_then = 0
        self._dead_letters = 0

    async def look(self) -> Progress:
        """Return how far it is."""
        now = time.monotonic()
        filling = self._filling
        if now - self._counted_at >= _COUNT_EVERY:
            try:
                status = await self._store.inspect(self._declaration.space, filling.subscriber_id)
            except (ServiceUnavailable, NotFound) as error:
                _log.info("rebuild of view %r: what is left? %s", self._declaration.name, error)
            else:
                self._counted_at, self._done_then = now, filling.applied_events
                self._counted, self._dead_letters = status.lag, status.dead_letters
        left = max(0, self._counted - (filling.applied_events - self._done_then))
        return Progress(
            self._number, filling.applied_events, left, self._dead_letters, filling.trouble
        )

    def end(self) -> Progress:
        """Return how far it is when it has caught up: the last count may be older."""
        return Progress(self._number, self._filling.applied_events, 0, 0, None)
