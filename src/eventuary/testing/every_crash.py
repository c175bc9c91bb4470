"""A crash between any two steps, each tried once, and the end compared with what must be.

    async def place_order(store: EventStore) -> None:
        with suppress(EntityExists):  # it is called again after a crash
            await Repository(store, Order).save(Order.create("ada", Decimal(10)), entity_id="o-1")

    async for attempt in every_crash(place_order, customer_service, order_service):
        async with attempt as store:
            order = await Repository(store, Order).load("o-1")
            assert order.state is OrderState.APPROVED

Each attempt has a store of its own, in which the scenario and the subscribers run as one process,
until it crashes. Then they are started again on the same store, the scenario from its beginning,
until everything has come to rest; then the body looks. The first attempt crashes at the first
boundary between two steps (``eventuary.testing.crash``), the next at the second, until one gets by
without a crash. A failure has a note that says where its attempt crashed.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType

from eventuary.event_store import EventStore
from eventuary.framework.running import running
from eventuary.framework.subscriber import Subscriber
from eventuary.testing.faults import Faults
from eventuary.testing.memory_store import memory_store
from eventuary.testing.rest import at_rest

Scenario = Callable[[EventStore], Awaitable[None]]


async def every_crash(
    scenario: Scenario,
    *subscribers: Subscriber,
    store: Callable[[], EventStore] = memory_store,
    seed: int = 0,
    redeliver: bool = False,
    reorder: bool = False,
    crashes: int = 1,
    within: float = 10.0,
) -> AsyncIterator["Attempt"]:
    """Yield an attempt for each boundary; enter each. See the module.

    ``scenario``: what the world outside does; it is called again after a crash, so it must bear to
    find done what it did. ``store``: returns a new store, not yet open. ``seed``, ``redeliver``,
    ``reorder``: as for ``Faults``. ``crashes``: an attempt crashes so often at most; after the
    first time, at a boundary drawn by chance. ``within``: seconds in which it must come to rest.
    Raises RuntimeError for an attempt that was not entered.
    """
    step = 1
    while True:
        attempt = Attempt(
            scenario,
            subscribers,
            store,
            step,
            seed=seed,
            redeliver=redeliver,
            reorder=reorder,
            crashes=crashes,
            within=within,
        )
        yield attempt
        if not attempt.entered:
            raise RuntimeError("every_crash: write `async with attempt as store:` in the loop")
        if not attempt.crashes:
            return
        step += 1


class Attempt:
    """One crash, and what came after it. Made by ``every_crash``; ``async with`` runs it."""

    def __init__(
        self,
        scenario: Scenario,
        subscribers: tuple[Subscriber, ...],
        store: Callable[[], EventStore],
        step: int,
        *,
        seed: int,
        redeliver: bool,
        reorder: bool,
        crashes: int,
        within: float,
    ) -> None:
        #: The boundary at which it crashes first; 1 is the first.
        self.step = step
        #: What was under way at each crash; empty: it went through without one.
        self.crashes: list[str] = []
        self.entered = False
        self._scenario = scenario
        self._subscribers = subscribers
        self._store = store()
        self._chance = random.Random(f"{seed}/{step}")
        self._redeliver = redeliver
        self._reorder = reorder
        self._most_crashes = crashes
        self._within = within

    def __repr__(self) -> str:
        return f"<attempt {self.step}: {self._story()}>"

    async def __aenter__(self) -> EventStore:
        """Run until all is at rest. Return the store; whatever the scenario raises is raised."""
        self.entered = True
        await self._store.__aenter__()
        try:
            step = self.step
            while not await self._lives(step if len(self.crashes) < self._most_crashes else None):
                step = self._chance.randint(1, max(1, self.step))
        except BaseException as error:
            error.add_note(self._story())
            await self._store.__aexit__(None, None, None)
            raise
        return self._store

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the store. A failure gets a note of where it crashed."""
        if error is not None:
            error.add_note(self._story())
        await self._store.__aexit__(kind, error, trace)

    async def _lives(self, crash_at: int | None) -> bool:
        """Run one process until it comes to rest; False: it crashed."""
        faults = Faults(
            self._store,
            seed=self._chance.randrange(2**32),
            redeliver=self._redeliver,
            reorder=self._reorder,
        )
        faults.crash_at(crash_at)
        life = asyncio.ensure_future(self._live(faults))
        death = asyncio.ensure_future(faults.process.crashed())
        try:
            await asyncio.wait((life, death), return_when=asyncio.FIRST_COMPLETED)
            crashed = faults.crashed
        finally:
            death.cancel()
            life.cancel()
            await asyncio.wait((life, death))
            faults.process.bury()
        if not life.cancelled():
            await life  # it may have failed
        if crashed:
            self.crashes.append(faults.steps[-1])
        return not crashed

    async def _live(self, faults: Faults) -> None:
        async with AsyncExitStack() as stack:
            run = await stack.enter_async_context(running(faults, *self._subscribers, grace=0))
            await self._scenario(faults)
            await at_rest(faults, run, within=self._within)

    def _story(self) -> str:
        if not self.crashes:
            return f"every_crash: step {self.step}: no crash"
        return f"every_crash: step {self.step}: " + "; then ".join(
            f"crashed {each}" for each in self.crashes
        )
