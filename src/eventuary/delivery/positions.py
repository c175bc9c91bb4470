"""Positions on their way to disk: gathered for a moment, and stored one time after the other.

One after the other, because an engine may keep no order of what is stored at the same time: an
older position could then replace a newer one, and what was acknowledged would come again.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from eventuary.delivery.swimlane import Swimlane
from eventuary.engines.engine import SwimlanePosition
from eventuary.errors import ServiceUnavailable

if TYPE_CHECKING:
    from eventuary.delivery.dispatcher import Dispatcher
    from eventuary.delivery.subscription import Subscription

#: Seconds for which acknowledgements are gathered before their positions are stored.
_GATHERED_FOR = 0.1

#: Seconds until positions that could not be stored are tried again.
_AGAIN_AFTER = 1.0


class Positions:
    """Of the durable subscriptions of one dispatcher."""

    def __init__(self, dispatcher: "Dispatcher") -> None:
        self._dispatcher = dispatcher
        self._moved: dict[Swimlane, Subscription] = {}
        self._timer: asyncio.TimerHandle | None = None
        #: Done when what was last to be stored is stored, or was taken back to be tried again.
        self._stored: asyncio.Future[None] | None = None

    def moved(self, subscription: "Subscription", swimlane: Swimlane) -> None:
        """Store a swimlane's position before long."""
        if subscription.durable:
            self._moved[swimlane] = subscription
            if self._timer is None:
                self._store_after(_GATHERED_FOR)

    async def flush(self) -> None:
        """Return when the positions of all swimlanes are on disk. Raises ServiceUnavailable."""
        if self._stored is not None and not self._stored.done():
            with suppress(ServiceUnavailable):  # what could not be stored has moved still
                await asyncio.shield(self._stored)
        self._store()  # unless another waiter has: that one stores all that had moved before
        if self._stored is not None:
            await asyncio.shield(self._stored)

    async def flush_or_pass(self) -> None:
        """Flush; what can't be stored now stays noted, and is tried again."""
        with suppress(ServiceUnavailable):
            await self.flush()

    async def stop(self) -> None:
        """Store what can be stored. What can't be will be delivered again after the next start."""
        await self.flush_or_pass()
        if self._timer is not None:
            self._timer.cancel()

    def _store_after(self, seconds: float) -> None:
        self._timer = self._dispatcher.loop.call_later(seconds, self._store)

    def _store(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        moved = self._moved
        if not moved or (self._stored is not None and not self._stored.done()):
            return
        done = self._dispatcher.engine.store_positions(
            [
                SwimlanePosition(
                    subscription.space,
                    subscription.subscriber_id,
                    swimlane.number,
                    swimlane.position,
                    epoch,
                )
                for swimlane, subscription in moved.items()
                for epoch, ours in [subscription.epoch(swimlane)]
                if ours
            ]
        )
        self._moved = {}
        self._stored = self._dispatcher.loop.create_future()
        done.add_done_callback(partial(self._conclude, moved, self._stored))

    def _conclude(
        self,
        moved: "dict[Swimlane, Subscription]",
        stored: asyncio.Future[None],
        done: asyncio.Future[None],
    ) -> None:
        error: BaseException | None
        if done.cancelled():
            error = ServiceUnavailable("the storage was closed")
        else:
            error = done.exception()
        if error is None:
            stored.set_result(None)
        else:
            self._moved = {**moved, **self._moved}
            stored.set_exception(error)
            stored.exception()  # it is no fault that nobody waits for it
        if self._moved and self._timer is None and not self._dispatcher.stopping:
            self._store_after(_GATHERED_FOR if error is None else _AGAIN_AFTER)
