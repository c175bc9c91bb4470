"""Feeding: deliveries into a view, in groups as large as what waits.

One group is applied at a time, each in one step with how far it brings the view: the next one
gathers meanwhile, so that the slower the storage, the larger the groups. An event that can't be
applied is refused, with what is behind it in its swimlane; the rest of its group is applied without
it. Storage that can't be reached is no event's fault: the group waits until it is back.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from eventuary.backoff import BackOff
from eventuary.delivery.consumer import Consumer, Delivery
from eventuary.errors import EventuaryError, NotFound, ServiceUnavailable
from eventuary.event_store import EventStore
from eventuary.views.declaration import Declaration
from eventuary.views.decoding import Decoding
from eventuary.views.generation import Generation, GenerationRetired, live
from eventuary.views.landmarks import Landmarks
from eventuary.views.reading import Reading
from eventuary.views.retiring import KEPT_FOR, drop_retired
from eventuary.views.storage import KeptView
from eventuary.views.view_event import UpdateFailed
from eventuary.views.waiting import Waiting

_U = TypeVar("_U")

_log = logging.getLogger("eventuary.view")

#: Seconds between two looks at which generation is live, and for retired ones.
_LOOK_EVERY = 1.0
_TIDY_EVERY = 30.0

#: Seconds after which a new live generation is read although it has not caught up.
_SHOWN_AFTER = KEPT_FOR / 2

#: Characters of a failure's text that go into the dead letter.
_REASON = 500


class RunningView(Generic[_U]):
    """A view at work. Satisfies ``Receiver``. Made by ``start``, ended by ``stop``.

    It feeds the live generation, and goes on with the next one when that is live; with
    ``generation``, it feeds that one until it is stopped, and nobody reads it.
    """

    def __init__(
        self,
        declaration: Declaration[_U],
        kept: KeptView[_U],
        store: EventStore,
        reading: Reading | None = None,
        *,
        generation: int | None = None,
    ) -> None:
        self._declaration = declaration
        self._kept = kept
        self._store = store
        self._reading = reading
        self._follows = generation is None
        self._generation = generation or 0
        self._subscriber_id = declaration.name
        self._shown: int | None = None
        self._decoding = Decoding(declaration)
        self._landmarks = Landmarks()
        self._loop = asyncio.get_running_loop()
        self._consumer: Consumer | None = None
        self._waiting = Waiting()
        self._stopping = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._showing: asyncio.Task[None] | None = None
        self._trouble: str | None = "it has not started"
        self._closed_because: str | None = None
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._tidied_at = -_TIDY_EVERY
        #: Events that were applied.
        self.applied_events = 0

    @property
    def subscriber_id(self) -> str:
        """The id of the subscription that feeds it."""
        return self._subscriber_id

    @property
    def shown(self) -> int | None:
        """The generation that is to be read."""
        return self._shown

    @property
    def waiting_characters(self) -> int:
        """Characters of event data that are in hand and not yet in a group."""
        return self._waiting.characters

    @property
    def trouble(self) -> str | None:
        """Why it does not run; None: it does."""
        if self._ended.done():
            return self._ended.result()
        return "it is stopping" if self._stopping.is_set() else self._trouble

    @property
    def ended_because(self) -> str | None:
        """Why the store ended its subscription; None: it did not."""
        return self._ended.result() if self._ended.done() else None

    async def start(self) -> None:
        """Subscribe; events are applied from now on. Raises BadRequest, Unauthorized, …"""
        if self._follows:
            fed_before = live(await self._kept.generations()) is not None
            self._generation = await self._kept.open_live()
            await self._identify()
            if fed_before:
                await self._warn_of_another_store()
        else:
            await self._identify()
        await self._subscribe()
        if self._follows:
            self._shown = self._generation
            if self._reading is not None:
                self._reading.fed_by(self)
        self._trouble = None
        self._worker = self._loop.create_task(self._work())

    async def _identify(self) -> None:
        for each in await self._kept.generations():
            if each.number == self._generation:
                self._subscriber_id = self._declaration.subscriber_id(each)
                return
        raise ServiceUnavailable(
            f"view {self._declaration.name!r}: generation {self._generation} was dropped meanwhile"
        )

    async def _warn_of_another_store(self) -> None:
        try:
            await self._store.inspect(self._declaration.space, self.subscriber_id)
        except NotFound:
            _log.warning(
                "view %r was fed before, but this event store has no subscription %r: if it is "
                "another store than before, rebuild the view, or it passes over what it takes for "
                "applied",
                self._declaration.name, self.subscriber_id,
            )  # fmt: skip

    async def stop(self, grace: float = 10.0) -> None:
        """Apply what is under way, within ``grace`` seconds, and unsubscribe."""
        self._stopping.set()
        self._waiting.wake()
        if self._reading is not None:
            self._reading.fed_by(None)
        if self._worker is not None:
            _, slow = await asyncio.wait([self._worker], timeout=grace)
            if slow:
                _log.warning(
                    "view %r: a group was not applied within %g s and is given up; it comes again",
                    self._declaration.name, grace,
                )  # fmt: skip
                self._worker.cancel()
                await asyncio.wait(slow)
        if self._showing is not None:
            self._showing.cancel()
        await self._unsubscribe()

    async def ended(self) -> str:
        """Return, when the server ends the subscription by itself, why."""
        return await asyncio.shield(self._ended)

    async def caught_up(self) -> None:
        """Return when all its events that are in the log by now are applied.

        By whichever of its processes. Raises ServiceUnavailable when it ends before that.
        """
        generation, consumer = self._generation, self._consumer
        if consumer is None:
            raise ServiceUnavailable(f"view {self._declaration.name!r} is not fed at this moment")
        await consumer.caught_up()
        if self._follows and self._shown != generation:
            raise ServiceUnavailable(f"view {self._declaration.name!r} has changed its generation")

    async def applied(self, version: str) -> None:
        """Return when the event of this id was applied here, and can be read."""
        await self._landmarks.passed(version)
        if self._showing is not None:
            # What is fed by now is not what is read yet.
            await asyncio.shield(self._showing)

    async def behind(self) -> str:
        """Return how far behind it is, in words."""
        try:
            status = await self._store.inspect(self._declaration.space, self.subscriber_id)
        except (NotFound, ServiceUnavailable) as error:
            return str(error)
        letters = f", with {status.dead_letters} dead letters" if status.dead_letters else ""
        trouble = f"; {self._trouble}" if self._trouble else ""
        return f"it is {status.lag} events behind{letters}{trouble}"

    # ── As the store's receiver ───────────────────────────────────────────────────────────────

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Let deliveries wait for the next group."""
        self._waiting.add(deliveries, self._consumer)

    def interrupted(self) -> None:
        """Drop what waits: it comes again."""
        self._waiting.forget()

    def closed(self, reason: str) -> None:
        """Note that the store ended it."""
        self._waiting.forget()
        self._closed_because = reason
        self._waiting.wake()

    # ── Work ──────────────────────────────────────────────────────────────────────────────────

    async def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._turn()
            except EventuaryError as error:
                # The storage, or the store, is not there for a moment: nothing is lost by that.
                self._note_trouble(str(error))
                await self._rest(_LOOK_EVERY)
            except Exception as error:  # noqa: BLE001 - it is told, and tried again
                self._note_trouble(f"{type(error).__name__}: {error}", error)
                await self._rest(_LOOK_EVERY)

    async def _turn(self) -> None:
        """Apply a group, or look around when there is none."""
        if self._closed_because is not None:
            if not await self._move_on():
                self._end(self._closed_because)
            return
        if self._consumer is None:
            # It has moved on, and what it moved to could not be subscribed to.
            await self._move_on()
            return
        if not self._waiting:
            if not await self._waiting.arrival(_LOOK_EVERY):
                await self._look_around()
            return
        epoch, group = self._waiting.epoch, self._waiting.take_group()
        try:
            await self._apply(group)
        except GenerationRetired:
            if not await self._move_on():
                self._end(f"generation {self._generation} is gone")
        except BaseException:
            if epoch == self._waiting.epoch:
                self._waiting.put_back(group)
            raise
        else:
            # It may never be idle long enough to look around.
            await self._tidy()

    async def _apply(self, group: list[Delivery]) -> None:
        epoch, number = self._waiting.epoch, self._generation
        refused: list[UpdateFailed] = []
        back_off = BackOff(first=0.1, longest=5.0)
        while group:
            try:
                events = await self._decoding.decode(group)
                await self._kept.apply(number, events)
            except UpdateFailed as failure:
                refused.append(failure)
                group = [each for each in group if not _blocked(each, failure)]
            except ServiceUnavailable as error:
                self._note_trouble(str(error))
                await self._rest(back_off.next())
                if self._stopping.is_set() or epoch != self._waiting.epoch:
                    return  # it comes again
            else:
                break
        self._note_recovery()
        if epoch == self._waiting.epoch:
            self._answer(group, refused)
        self.applied_events += len(group)
        self._landmarks.pass_all(each.event.event_id for each in group)

    def _answer(self, applied: list[Delivery], refused: list[UpdateFailed]) -> None:
        consumer = self._consumer
        if consumer is None:
            return
        for each in applied:
            consumer.acknowledge(each.swimlane, each.offset)
        for failure in refused:
            # What is behind it comes again.
            self._waiting.drop_swimlane(failure.swimlane)
            _log.warning(
                "view %r could not apply the event at position %d, it comes again: %s",
                self._declaration.name, failure.position, failure, exc_info=failure.__cause__,
            )  # fmt: skip
            consumer.refuse(failure.swimlane, failure.position, str(failure)[:_REASON])

    # ── Generations ───────────────────────────────────────────────────────────────────────────

    async def _look_around(self) -> None:
        self._note_recovery()
        if not self._follows:
            return
        found = live(await self._kept.generations())
        if found is None or not self._is_fed_here(found):
            await self._move_on()
        else:
            await self._tidy()

    async def _tidy(self) -> None:
        """Drop what was retired long ago, now and then."""
        if not self._follows or self._stopping.is_set():
            return
        if time.monotonic() - self._tidied_at >= _TIDY_EVERY:
            self._tidied_at = time.monotonic()
            await drop_retired(self._declaration, self._kept, self._store)

    async def _move_on(self) -> bool:
        """Go on with the generation that is live; False when that is the one that it feeds.

        What it raises leaves it without a consumer at worst: it is to be called again then.
        """
        if not self._follows:
            return False
        present = await self._kept.generations()
        found = live(present)
        if self._consumer is not None and found is not None and self._is_fed_here(found):
            return False
        if found is None:
            found = await self._begin_anew()
        await self._unsubscribe()
        if not self._is_fed_here(found):
            self._generation = found.number
            self._subscriber_id = self._declaration.subscriber_id(found)
            shown = next((each for each in present if each.number == self._shown), None)
            if shown is None:  # it was dropped: there is nothing else to be read
                self._shown = found.number
            else:
                self._showing = self._loop.create_task(self._show(found.number, shown.since))
        await self._subscribe()
        _log.info("view %r: goes on with generation %d", self._declaration.name, found.number)
        return True

    def _is_fed_here(self, generation: Generation) -> bool:
        return self._declaration.subscriber_id(generation) == self._subscriber_id

    async def _begin_anew(self) -> Generation:
        """Somebody has removed all that there was of the view: fill it from the first event on."""
        _log.warning("view %r is gone from its storage: it begins anew", self._declaration.name)
        await self._store.delete_subscription(self._declaration.space, self._subscriber_id)
        await self._kept.open_live()
        found = live(await self._kept.generations())
        if found is None:
            raise ServiceUnavailable(f"view {self._declaration.name!r} is gone again")
        return found

    async def _show(self, number: int, retired: int) -> None:
        """Let a generation be read when it has all that the one before it had.

        Or when that takes so long that the one before it, ``retired`` at that time, may be dropped
        by any process.
        """
        ago = max(0.0, time.time() - retired / 1000)
        try:
            async with asyncio.timeout(_SHOWN_AFTER - ago):
                await self._catch_up(number)
        except TimeoutError:
            pass
        if self._generation == number and not self._stopping.is_set():
            self._shown = number

    async def _catch_up(self, number: int) -> None:
        while self._generation == number and not self._stopping.is_set():
            # There is none before the store lets it subscribe.
            consumer = self._consumer
            with suppress(ServiceUnavailable):
                if consumer is not None:
                    await consumer.caught_up()
                    return
            await self._rest(0.1)

    async def _subscribe(self) -> None:
        self._closed_because = None
        self._waiting.forget()
        declaration = self._declaration
        self._consumer = await self._store.subscribe(
            declaration.space,
            self.subscriber_id,
            self._decoding.selection,
            self,
            policy=declaration.policy,
        )

    async def _unsubscribe(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        try:
            await consumer.flush()
        except ServiceUnavailable as error:
            _log.info("view %r: not all is acknowledged: %s", self._declaration.name, error)
        await consumer.close()
        self._waiting.forget()

    # ── Trouble ───────────────────────────────────────────────────────────────────────────────

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def _note_trouble(self, trouble: str, error: BaseException | None = None) -> None:
        if self._trouble is None:
            _log.warning("view %r waits: %s", self._declaration.name, trouble, exc_info=error)
        self._trouble = trouble

    def _note_recovery(self) -> None:
        if self._trouble is not None:
            _log.warning("view %r goes on", self._declaration.name)
            self._trouble = None

    def _end(self, reason: str) -> None:
        self._consumer = None
        self._stopping.set()
        if not self._ended.done():
            self._ended.set_result(reason)
        _log.warning("view %r was ended by the store: %s", self._declaration.name, reason)


def _blocked(delivery: Delivery, failure: UpdateFailed) -> bool:
    return delivery.swimlane == failure.swimlane and delivery.offset >= failure.position
