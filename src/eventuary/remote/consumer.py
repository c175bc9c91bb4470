"""RemoteConsumer: a receiver's hold on a subscription of a server, mended as often as it breaks.

It is open while a connection carries it, broken from the loss of one until the next, over once it
was closed, here or by the server. Only what came over the present connection can be answered.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from eventuary.backoff import BackOff
from eventuary.delivery.consumer import AckMode, Receiver
from eventuary.errors import (
    ConfigurationError,
    EventuaryError,
    Forbidden,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
)
from eventuary.remote.line import Line
from eventuary.remote.messages import Message, read_message
from eventuary.remote.outstanding import Outstanding
from eventuary.remote.stomp_connection import StompConnection
from eventuary.remote.subscribing import Subscribing
from eventuary.stomp_frames import Frame

_log = logging.getLogger("eventuary.remote")

#: Seconds that the server may wait before it answers that a subscription has not caught up.
_CAUGHT_UP_WAIT = 20.0

#: A connection that lasted so many seconds was a good one: the next attempts begin without delay.
_GOOD_AFTER = 5.0


class RemoteConsumer:
    """Satisfies ``Consumer``. Made by ``RemoteEventStore.subscribe``."""

    def __init__(
        self,
        subscribing: Subscribing,
        receiver: Receiver,
        ack_mode: AckMode,
        line: Line,
        ask_caught_up: Callable[[float], Awaitable[bool]],
        left: Callable[["RemoteConsumer"], None],
    ) -> None:
        self._subscribing = subscribing
        self._receiver = receiver
        self._line = line
        self._ask_caught_up = ask_caught_up
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._connection: StompConnection | None = None
        self._connected_at = 0.0
        self._outstanding = Outstanding(ack_mode)
        #: Arrived and not handed over: this turn's, and what came while it was paused.
        self._arrived: list[Message] = []
        self._begun = False
        self._paused = False
        self._handing_over = False  # it is scheduled
        self._back_off = BackOff()
        self._mending: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        #: Done when it is over.
        self._over: asyncio.Future[str] = self._loop.create_future()

    @property
    def space(self) -> str:
        """The subscription's space."""
        return self._subscribing.space

    @property
    def subscriber_id(self) -> str:
        """The subscription's subscriber id."""
        return self._subscribing.subscriber_id

    # ── Its life ──────────────────────────────────────────────────────────────────────────────

    async def open(self, retry_for: float) -> None:
        """Subscribe. Deliveries begin in the loop's next turn.

        Raises Unauthorized, Forbidden, BadRequest, ConfigurationError; ServiceUnavailable when
        that lasts for ``retry_for`` seconds.
        """
        end = self._loop.time() + retry_for
        while self._connection is None:
            try:
                self._use(await self._line.open(self._subscribing, again=False))
                failure = "the connection was closed at once"
            except ServiceUnavailable as error:
                failure = str(error)
            except BaseException as error:
                self._finish(str(error))
                self._left(self)
                raise
            if self._over.done():
                raise ServiceUnavailable(self._over.result())
            if self._connection is None:
                pause = self._back_off.next()
                if self._loop.time() + pause >= end:
                    self._finish(failure)
                    self._left(self)
                    raise ServiceUnavailable(
                        f"{failure}; given up, as retry_for is {retry_for:g} seconds"
                    )
                await asyncio.wait([self._over], timeout=pause)
        self._begun = True
        self._hand_over_soon()

    def end(self, reason: str) -> None:
        """Tell the receiver that it is over, not by its own doing."""
        if self._over.done():
            return
        self._finish(reason)
        if self._connection is None:
            self._left(self)  # else ``close`` is still to come
        if self._begun:
            self._receiver.closed(reason)

    async def close(self) -> None:
        """Leave the subscription: unacknowledged deliveries go to others, or wait on disk."""
        self._finish("it was closed")
        if self._leaving is None:
            self._leaving = self._loop.create_task(self._leave())
        await asyncio.shield(self._leaving)

    def _finish(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)
        self._outstanding.forget()
        self._arrived.clear()

    async def _leave(self) -> None:
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait([self._mending])
        connection, self._connection = self._connection, None
        self._left(self)
        if connection is None:
            return
        try:
            # What was acknowledged goes before it.
            async with asyncio.timeout(self._line.patience):
                await connection.request(b"DISCONNECT\n")
        except (TimeoutError, EventuaryError) as error:
            _log.info("subscription %r: left without a farewell: %s", self.subscriber_id, error)
        finally:
            connection.abort()

    def _use(self, connection: StompConnection) -> None:
        """Go on with a new connection."""
        if self._over.done():
            connection.abort()
            return
        self._connection = connection
        self._connected_at = self._loop.time()
        if self._paused:
            connection.pause()
        connection.start(self)

    async def _mend(self) -> None:
        while True:
            await asyncio.sleep(self._back_off.next())
            try:
                connection = await self._line.open(self._subscribing, again=True)
            except (Unauthorized, Forbidden, ConfigurationError) as error:
                self.end(str(error))
                return
            except EventuaryError as error:
                _log.info("subscription %r: not yet mended: %s", self.subscriber_id, error)
                continue
            _log.info("subscription %r: mended", self.subscriber_id)
            self._mending = None
            self._use(connection)
            return

    # ── What the connection brings ────────────────────────────────────────────────────────────

    def message(self, frame: Frame) -> None:
        """Take a MESSAGE."""
        message = self._outstanding.wanted(read_message(frame, self._subscribing.space))
        if message is not None:
            self._arrived.append(message)

    def messages_end(self) -> None:
        """Hand over what has arrived, if it may be."""
        if self._over.done():
            self._arrived.clear()
        elif self._begun and not self._paused and not self._handing_over:
            self._hand_over()

    def lost(self, connection: StompConnection, reason: EventuaryError) -> None:
        """The connection is gone."""
        if connection is not self._connection or self._over.done():
            return
        self._connection = None
        self._outstanding.forget()
        self._arrived.clear()
        if isinstance(reason, NotFound):
            self.end(str(reason))
            return
        if self._loop.time() - self._connected_at >= _GOOD_AFTER:
            self._back_off.reset()
        if not self._begun:
            return  # ``open`` tries again
        _log.warning("subscription %r: interrupted: %s", self.subscriber_id, reason)
        self._mending = self._loop.create_task(self._mend())
        self._receiver.interrupted()

    def _hand_over_soon(self) -> None:
        if not self._handing_over:
            self._handing_over = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._handing_over = False
        if self._paused or self._over.done():
            return
        if self._connection is not None:
            self._connection.resume()
        if not self._arrived:
            return
        messages, self._arrived = self._arrived, []
        frames = self._outstanding.hand_over(messages)
        self._receiver.deliver([message.delivery for message in messages])
        if frames and self._connection is not None:
            self._connection.send(frames)

    # ── What the receiver says ────────────────────────────────────────────────────────────────

    def acknowledge(self, swimlane: int, offset: int) -> bool:
        """Say that a delivery is done; False also when its connection is gone."""
        frames = self._outstanding.acknowledge(swimlane, offset)
        if not frames or self._connection is None:
            return False
        self._connection.send(frames)
        return True

    def refuse(self, swimlane: int, offset: int, reason: str, *, for_good: bool = False) -> bool:
        """Say that a delivery failed; False also when its connection is gone."""
        refused = self._outstanding.refuse(swimlane, offset, reason, for_good=for_good)
        if refused is None or self._connection is None:
            return False
        refusal, frame = refused
        outstanding = self._outstanding
        self._arrived = [each for each in self._arrived if outstanding.wanted(each) is not None]
        self._connection.send_noting(frame, lambda _: outstanding.took_effect(refusal))
        return True

    def pause(self) -> None:
        """Take no more deliveries until ``resume``: nothing is read from the wire meanwhile."""
        self._paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Take deliveries again, from the loop's next turn on."""
        if self._paused:
            self._paused = False
            self._hand_over_soon()

    async def flush(self) -> None:
        """Return when all acknowledgements given over the present connection are on disk.

        Those given before an interruption may be lost with it; what they were for comes again.
        Raises ServiceUnavailable when the connection breaks meanwhile.
        """
        last = self._outstanding.last_acknowledged
        if self._connection is not None and last is not None:
            # Once more: it changes nothing, and comes behind all others.
            await self._connection.request(b"ACK\nid:%b\n" % last)

    async def caught_up(self) -> None:
        """Return when all selected events of the log as it is now have been acknowledged."""
        back_off = BackOff()
        while not self._over.done():
            asking = asyncio.ensure_future(self._ask_caught_up(_CAUGHT_UP_WAIT))
            try:
                either: set[asyncio.Future[Any]] = {asking, self._over}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not asking.done():
                    break
                if asking.result():
                    return
            except (ServiceUnavailable, NotFound) as error:
                _log.info("subscription %r: caught up? %s", self.subscriber_id, error)
            finally:
                asking.cancel()
            # It may not be there at this moment: its connection is being mended.
            await asyncio.wait([self._over], timeout=back_off.next())
        raise ServiceUnavailable(
            f"subscription {self.subscriber_id!r} has ended: {await self._over}"
        )
