"""Attendance: a subscriber is there, or it is away while an outside system is down.

To be away is to have left the subscription: so nobody waits for an answer meanwhile, nothing counts
as a failure of an event, and what is not acknowledged comes again when it is back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum, auto
from typing import Any

from eventuary.delivery.consumer import Consumer, Delivery, Receiver
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.errors import ConfigurationError, EventuaryError, ServiceUnavailable
from eventuary.event_store import EventStore
from eventuary.framework.circuit import CircuitBreaker
from eventuary.framework.subscriber import Subscriber

_log = logging.getLogger("eventuary.subscriber")

#: Seconds until it is tried again to come back: at first, and at the most.
_FIRST_RETURN = 0.2
_LONGEST_RETURN = 10.0


class _State(Enum):
    COMING = auto()  #: subscribing: what is delivered early waits
    THERE = auto()
    LEAVING = auto()  #: what is under way is finished, nothing new is begun
    AWAY = auto()


class Attendance:
    """Of one running subscriber. ``finish`` begins nothing new, and returns when nothing is under
    way.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        store: EventStore,
        receiver: Receiver,
        finish: Callable[[], Awaitable[None]],
    ) -> None:
        self._subscriber = subscriber
        self._selection = subscriber.codec().selection
        self._store = store
        self._receiver = receiver
        self._finish = finish
        self._state = _State.COMING
        self._early: list[Delivery] = []
        self._consumer: Consumer | None = None
        loop = asyncio.get_running_loop()
        #: Done when it is to end; when the store has ended it, and why.
        self._stopped: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[str] = loop.create_future()
        self._absence: asyncio.Task[None] | None = None
        #: The circuit because of which it left last; why it has not come back since.
        self._waited_for: CircuitBreaker | None = None
        self._kept_away_by: str | None = None

    @property
    def consumer(self) -> Consumer | None:
        """The hold on the subscription; None: it has not come yet, or is away."""
        return self._consumer

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` has been called."""
        return self._stopped.done()

    @property
    def trouble(self) -> str | None:
        """Why it is not there though it should be."""
        if self.ended.done():
            return self.ended.result()
        if self.stopping:
            return "it is stopping"
        if self._absence is not None:
            return self._kept_away_by
        return "it has not started" if self._consumer is None else None

    @property
    def waits_for(self) -> str | None:
        """The outside system that is down, and for which it has left; None: it does not wait."""
        circuit = self._waited_for
        return None if circuit is None or circuit.closed else circuit.system

    # ── Coming and going ──────────────────────────────────────────────────────────────────────

    async def come(self, policy: DeliveryPolicy | None) -> None:
        """Subscribe. Raises what ``EventStore.subscribe`` does."""
        subscriber = self._subscriber
        self._state = _State.COMING
        self._early.clear()
        self._consumer = await self._store.subscribe(
            subscriber.space,
            subscriber.subscriber_id,
            self._selection,
            self._receiver,
            durability=subscriber.durability,
            read_from=subscriber.read_from,
            policy=policy,
        )
        self._state = _State.THERE
        early, self._early = self._early, []
        self._receiver.deliver(early)

    def admitted(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Return those of some deliveries that are to be handled now."""
        if self._state is _State.COMING:
            self._early += deliveries
        elif self._state is _State.THERE and not self.stopping:
            return deliveries
        return ()

    def interrupted(self) -> None:
        """What has come early comes again."""
        self._early.clear()

    def leave_for(self, circuit: CircuitBreaker) -> None:
        """Leave until a circuit lets calls pass, and then come back; returns at once."""
        if self._state is _State.THERE and not self.stopping:
            self._state = _State.LEAVING
            self._waited_for = circuit
            self._absence = asyncio.get_running_loop().create_task(self._stay_away(circuit))

    async def stop(self, finish: Callable[[], Awaitable[None]]) -> None:
        """Leave for good, once ``finish`` has returned; from an absence, at once."""
        if not self.stopping:
            self._stopped.set_result(None)
        await finish()
        if self._absence is not None:
            await asyncio.wait([self._absence])
        await self._leave()

    def end(self, reason: str) -> None:
        """The store has ended it."""
        if not self.ended.done():
            self.ended.set_result(reason)
        if not self.stopping:
            _log.warning(
                "subscriber %r was ended by the store: %s", self._subscriber.subscriber_id, reason
            )

    async def _leave(self) -> None:
        consumer = self._consumer
        if consumer is None:
            return
        try:
            await consumer.flush()
        except EventuaryError as error:
            _log.warning(
                "subscriber %r: not all is acknowledged: %s", self._subscriber.subscriber_id, error
            )
        await consumer.close()
        self._consumer = None

    async def _stay_away(self, circuit: CircuitBreaker) -> None:
        try:
            await self._finish()
            await self._leave()
            self._state = _State.AWAY
            await self._unless_over(circuit.pause())
            await self._come_back()
        except Exception as error:  # noqa: BLE001 - it must be seen, whatever it is
            _log.exception(
                "subscriber %r: its pause failed unexpectedly", self._subscriber.subscriber_id
            )
            self.end(f"its pause failed unexpectedly: {error}")
        finally:
            self._absence = self._kept_away_by = None

    async def _come_back(self) -> None:
        pause = _FIRST_RETURN
        while not self._over:
            try:
                # Its rules are left as they are: somebody may have changed them meanwhile.
                await self._unless_over(self.come(None))
            except ServiceUnavailable as error:
                self._kept_away_by = f"it can't come back: {error}"
                await self._unless_over(asyncio.sleep(pause))
                pause = min(_LONGEST_RETURN, pause * 2)
            except (EventuaryError, ConfigurationError) as error:
                self.end(str(error))
            else:
                return

    @property
    def _over(self) -> bool:
        return self.stopping or self.ended.done()

    async def _unless_over(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work, unless it is over before that."""
        task = asyncio.get_running_loop().create_task(work)
        either: set[asyncio.Future[Any]] = {task, self._stopped, self.ended}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        else:
            task.cancel()
            await asyncio.wait([task])

    # ── Waiting for it ────────────────────────────────────────────────────────────────────────

    async def caught_up(self) -> None:
        """Return when all that is in the log by now is acknowledged; not while it is away.

        Raises ServiceUnavailable when it ends before that.
        """
        while True:
            if self._absence is not None:
                await asyncio.wait([self._absence])
                continue
            consumer = self._consumer
            if consumer is None:
                what = "has ended" if self._over else "has not been started"
                raise ServiceUnavailable(f"subscriber {self._subscriber.subscriber_id!r} {what}")
            try:
                await consumer.caught_up()
            except ServiceUnavailable:
                if self._absence is None and self._consumer is consumer:
                    raise
            else:
                return
