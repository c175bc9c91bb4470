"""Which swimlanes this server may deliver, where servers share one storage (``Engine.leasing``).

Every server that has consumers of a durable subscription says how many, and gets a fair share of
its swimlanes: it takes what is free, and lets go of what is too much, once nothing of it is in its
consumers' hands. Two loops: one renews what is held, and does nothing else, so that nothing makes
it late; the other looks at what has changed, and takes and lets go.

What is held is held until some seconds after the last renewal was asked for, by a clock that never
goes back and does not stop while the machine sleeps. Whoever delivers or takes an answer asks first
(``in_force``): a server that was paused finds out before it does anything that is no longer its
own. What it does not know yet, storage does: positions and dead letters are stored under the
lease's epoch alone.

The other loop also brings what was changed on another server: selection, policy, pause, positions
that were reset, a deletion, what an operator wants done with a dead letter.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventuary.delivery.fair_share import fair_shares
from eventuary.delivery.policy import OnDeadLetter
from eventuary.engines.engine import Lease, Leasing, SharedSubscription
from eventuary.errors import ServiceUnavailable

if TYPE_CHECKING:
    from eventuary.delivery.dispatcher import Dispatcher
    from eventuary.delivery.subscription import Subscription

_log = logging.getLogger("eventuary.delivery")

#: Seconds between two renewals, and between two looks.
_RENEW_EVERY = 0.75
_LOOK_EVERY = 0.5

#: Seconds before its end at which a lease counts as ended: what was begun by then is done by then.
_MARGIN = 0.25

_NEVER = float("-inf")


def _clock() -> float:
    """Seconds that go on while the machine sleeps, where the system has such a clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, at most so long, and clear it.

    Not by ``asyncio.wait_for``: before Python 3.12 that can swallow a cancellation.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()


class Tenancy:
    """One per dispatcher whose engine shares its storage."""

    def __init__(self, dispatcher: "Dispatcher", leasing: Leasing) -> None:
        self._dispatcher = dispatcher
        self._leasing = leasing
        self._until = _NEVER
        self._me = 0
        #: What is to be given up as soon as storage can be reached; None: all of a subscription.
        self._debts: list[tuple[str, str, Lease | None]] = []
        self._look_wanted = asyncio.Event()
        self._renewal_wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._watch: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to renew and to look."""
        self._until = _NEVER
        self._tasks = [
            asyncio.create_task(self._go_on_renewing()),
            asyncio.create_task(self._go_on_looking()),
        ]

    async def stop(self) -> None:
        """Hold nothing any more. What is to be stored is."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        if self._watch is not None:
            self._watch.cancel()
        if self._me:
            with contextlib.suppress(ServiceUnavailable):  # the leases end by themselves
                await self._leasing.leave()
        self._me = 0

    def in_force(self) -> bool:
        """Whether this server holds now what it has taken; if not, it loses all of it here."""
        if _clock() < self._until:
            return True
        self._lose_all()
        return False

    def look_soon(self) -> None:
        """Something has changed here: consumers came or went."""
        if self._until == _NEVER:
            self._renewal_wanted.set()  # a look follows
        else:
            self._look_wanted.set()

    def hand_on(self, subscription: "Subscription", lease: Lease) -> None:
        """Store the position of a swimlane that was let go, and then let others take it."""
        self._dispatcher.spawn(self._hand_on(subscription, lease))

    async def close(self, subscription: "Subscription") -> None:
        """Nobody here consumes a subscription any more, and its positions are stored."""
        try:
            await self._leasing.want(subscription.space, subscription.subscriber_id, 0)
        except ServiceUnavailable:
            self._owe(subscription, [None])

    async def shared(self, subscription: "Subscription") -> SharedSubscription | None:
        """Return a subscription as all servers see it. Raises ServiceUnavailable."""
        [shared] = await self._leasing.look([(subscription.space, subscription.subscriber_id)])
        return shared

    def is_elsewhere(self, lease: Lease) -> bool:
        """Whether another server holds it."""
        return lease.holder is not None and lease.holder != self._me

    def consumers_elsewhere(self, shared: SharedSubscription) -> int:
        """Return how many consumers other servers have."""
        return sum(number for server, number in shared.consumers.items() if server != self._me)

    async def wish(self, subscription: "Subscription", position: int, wish: str | None) -> None:
        """Ask the server that holds its swimlane to do something with a dead letter."""
        await self._leasing.wish(subscription.space, subscription.subscriber_id, position, wish)

    # ── Renewing ──────────────────────────────────────────────────────────────────────────────

    async def _go_on_renewing(self) -> None:
        while True:
            if self._shared_ones():
                try:
                    await self._renew()
                except Exception:  # noqa: BLE001 - without it this server would deliver no more
                    _log.exception("renewing this server's leases failed unexpectedly")
            await _wait(self._renewal_wanted, _RENEW_EVERY)

    async def _renew(self) -> None:
        asked = _clock()
        try:
            me = await self._leasing.renew()
        except ServiceUnavailable:
            return  # what is held ends in time
        self.in_force()  # it may have ended meanwhile
        if me != self._me:
            self._lose_all()
            self._me = me
        first = self._until == _NEVER
        self._until = asked + self._leasing.lease_seconds - _MARGIN
        self._watch_over()
        if first:
            self._look_wanted.set()

    def _watch_over(self) -> None:
        """Let go in time, though nobody asks."""
        if self._watch is not None:
            self._watch.cancel()
        rest = self._until - _clock()
        self._watch = self._dispatcher.loop.call_later(max(0.0, rest), self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        if self.in_force():
            self._watch_over()

    def _lose_all(self) -> None:
        self._until = _NEVER
        for subscription in self._shared_ones():
            if subscription.tenure is not None:
                subscription.tenure.lose_all()

    # ── Looking ───────────────────────────────────────────────────────────────────────────────

    async def _go_on_looking(self) -> None:
        while True:
            await _wait(self._look_wanted, _LOOK_EVERY)
            try:
                await self._look()
            except ServiceUnavailable:
                continue
            except Exception:  # noqa: BLE001 - without it no swimlane would change hands
                _log.exception("sharing swimlanes with other servers failed unexpectedly")

    async def _look(self) -> None:
        await self._pay_debts()
        subscriptions = self._shared_ones()
        if not subscriptions or not self.in_force():
            return
        for subscription in subscriptions:
            await self._announce(subscription)
        found = await self._leasing.look(
            [(each.space, each.subscriber_id) for each in subscriptions]
        )
        for subscription, shared in zip(subscriptions, found, strict=True):
            if self._is_open(subscription):
                await self._settle(subscription, shared)

    async def _announce(self, subscription: "Subscription") -> None:
        tenure = subscription.tenure
        now = (self._me, len(subscription.consumptions))
        if tenure is not None and tenure.announced != now and now[1]:
            await self._leasing.want(subscription.space, subscription.subscriber_id, now[1])
            tenure.announced = now
            if not self._is_open(subscription):
                self._owe(subscription, [None])  # it was closed meanwhile: that may have come first

    async def _settle(
        self, subscription: "Subscription", shared: SharedSubscription | None
    ) -> None:
        """Take over what has changed, lose what was lost, take or let go what is to be shared."""
        tenure = subscription.tenure
        if tenure is None:
            return
        if shared is None or tenure.number not in (0, shared.number):
            await self._dispatcher.was_deleted(subscription)
            return
        tenure.number = shared.number
        if tenure.revision != shared.revision:
            tenure.revision = shared.revision
            self._dispatcher.was_changed(subscription, shared.record)
        present = {lease.swimlane: lease for lease in shared.leases}
        tenure.lose(
            number
            for number, lease in {**tenure.leases, **tenure.going}.items()
            if (present[number].epoch, present[number].holder) != (lease.epoch, self._me)
        )
        tenure.note_others(shared)
        if tenure.announced != (self._me, shared.consumers.get(self._me)):
            tenure.announced = None  # what was told is not what is known: tell it again
        consumers = {**shared.consumers, self._me: len(subscription.consumptions)}
        share = fair_shares(consumers, len(subscription.swimlanes))[self._me]
        more = share - subscription.sharing.kept
        if more > 0:
            await self._take(subscription, shared, more)
        elif more < 0:
            subscription.sharing.send_off(-more)
        await self._return_unused(subscription, shared)
        for position, wish in shared.wishes.items():
            self._dispatcher.spawn(subscription.parking.fulfil(position, wish))

    async def _take(
        self, subscription: "Subscription", shared: SharedSubscription, number: int
    ) -> None:
        tenure = subscription.tenure
        if tenure is None:
            return
        free = [
            lease
            for lease in shared.leases
            if not self.is_elsewhere(lease)
            and lease.swimlane not in tenure.leases
            and lease.swimlane not in tenure.going
        ]
        if not free:
            return
        space, subscriber_id = subscription.space, subscription.subscriber_id
        taken = await self._leasing.take(space, subscriber_id, free[:number])
        try:
            # Read after it was taken: by now nobody else adds to them.
            records = await self._dispatcher.engine.load_dead_letters(space, subscriber_id)
        except ServiceUnavailable:
            self._owe(subscription, taken)
            raise
        if not self._is_open(subscription) or not self.in_force():
            self._owe(subscription, taken)
            return
        waits = subscription.policy.on_dead_letter is OnDeadLetter.WAIT
        tenure.gain(taken, [(each.swimlane, each.position) for each in records if waits])

    async def _return_unused(
        self, subscription: "Subscription", shared: SharedSubscription
    ) -> None:
        """Let others take what storage says is this server's, and is not known here.

        It was lost here when a renewal came late, or its taking was not answered. It is taken
        again if it is in this server's share; the rest nobody else could ever take.
        """
        tenure = subscription.tenure
        if tenure is None:
            return
        unused = [
            lease
            for lease in shared.leases
            if lease.holder == self._me
            and lease.swimlane not in tenure.leases
            and lease.swimlane not in tenure.going
        ]
        if unused:
            await self._leasing.give_up(subscription.space, subscription.subscriber_id, unused)

    # ── Letting go ────────────────────────────────────────────────────────────────────────────

    async def _hand_on(self, subscription: "Subscription", lease: Lease) -> None:
        tenure = subscription.tenure
        while tenure is not None and tenure.going.get(lease.swimlane) is lease:
            try:
                await self._dispatcher.positions.flush()
                await self._leasing.give_up(subscription.space, subscription.subscriber_id, [lease])
            except ServiceUnavailable:
                await self._dispatcher.rest(_LOOK_EVERY)
                if self._dispatcher.stopping:
                    return
                continue
            if tenure.going.get(lease.swimlane) is lease:
                del tenure.going[lease.swimlane]

    def _owe(self, subscription: "Subscription", leases: Sequence[Lease | None]) -> None:
        self._debts += [(subscription.space, subscription.subscriber_id, each) for each in leases]

    async def _pay_debts(self) -> None:
        while self._debts:
            space, subscriber_id, lease = self._debts[-1]
            if lease is not None:
                await self._leasing.give_up(space, subscriber_id, [lease])
            elif (space, subscriber_id) not in {
                (each.space, each.subscriber_id) for each in self._shared_ones()
            }:
                await self._leasing.want(space, subscriber_id, 0)
            self._debts.pop()

    def _shared_ones(self) -> "list[Subscription]":
        return [each for each in self._dispatcher.open_subscriptions() if each.tenure is not None]

    def _is_open(self, subscription: "Subscription") -> bool:
        return bool(subscription.consumptions) and any(
            each is subscription for each in self._dispatcher.open_subscriptions()
        )
