"""Calls that survive what heals by itself: overload, restarts, connections that break.

What failed is tried again, with growing pauses, for a bounded time, and only where that is safe:

- What the server did not get was not done, nor what it refused, saying that nothing was written.
- Reading twice does no harm, nor does storing a snapshot twice.
- A write whose answer was lost, or leaves it open (*in doubt*), may have been done. Then a second
  one meets a conflict, because the first has made the entity, moved its version, or recorded its
  trigger. So a conflict after a doubt is no answer yet: ``own`` looks whether what is stored is
  what this call wrote.

When time is up, ServiceUnavailable says whether the last word is "not done" or "not known".
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from eventuary.backoff import BackOff
from eventuary.errors import (
    NOTHING_WRITTEN,
    Conflict,
    EntityTemporarilyUnavailable,
    EventuaryError,
    ServiceUnavailable,
)
from eventuary.remote.address import ServerAddress
from eventuary.remote.answers import error_of, result_of
from eventuary.remote.http_connection import Answer, AnswerLost
from eventuary.remote.http_pool import HttpPool
from eventuary.remote.opening import Unreachable

_OK = 200

#: Statuses of servers and of what stands before them, after which trying again may help; after
#: those in the second set something was perhaps done, unless the server says otherwise.
_TRY_AGAIN = frozenset({408, 429, 502, 503, 504})
_IN_DOUBT = frozenset({502, 503, 504})

#: The least patience, in seconds, with which an answer is waited for when time is almost up.
_LEAST_PATIENCE = 1.0

_Result = TypeVar("_Result")


class Calls:
    """Makes calls until it is closed. All durations are in seconds."""

    def __init__(
        self,
        address: ServerAddress,
        tls: ssl.SSLContext | None,
        *,
        retry_for: float,
        answer_timeout: float,
        connections: int,
    ) -> None:
        self._address = address
        self._retry_for = retry_for
        self._answer_timeout = answer_timeout
        self._pool = HttpPool(address, tls, connections)
        #: For calls that take long by intent, so that they hold up no others.
        self._long_pool = HttpPool(address, tls, connections)
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._closing: asyncio.Future[None] = self._loop.create_future()
        self._finished = asyncio.Event()

    async def make(
        self,
        request: bytes,
        decoder: msgspec.json.Decoder[_Result],
        own: Callable[[], Awaitable[_Result | None]] | None = None,
        *,
        longer: float = 0.0,
    ) -> _Result:
        """Send a request, again if need be, and return its result.

        ``own``: for a write; asked, when a conflict follows a doubt, for the result of what was
        done before, None if that was not ours. ``longer``: how much longer than usual the answer
        may take. Raises the server's errors, ServiceUnavailable, ConfigurationError.
        """
        self._under_way += 1
        try:
            return await self._persist(request, decoder, own, longer)
        finally:
            self._under_way -= 1
            if self._closing.done() and not self._under_way:
                self._finished.set()

    async def close(self) -> None:
        """Wait for what is under way, which is not tried again from now on, and close."""
        if not self._closing.done():
            self._closing.set_result(None)
        if self._under_way:
            await self._finished.wait()
        self._pool.close()
        self._long_pool.close()

    async def _persist(
        self,
        request: bytes,
        decoder: msgspec.json.Decoder[_Result],
        own: Callable[[], Awaitable[_Result | None]] | None,
        longer: float,
    ) -> _Result:
        pool = self._long_pool if longer else self._pool
        patience = self._answer_timeout + longer
        back_off: BackOff | None = None
        end = self._loop.time() + self._retry_for
        in_doubt = False
        while True:
            failure: Exception
            try:
                answer = await pool.call(request, patience)
            except Unreachable as error:
                failure = error
            except AnswerLost as error:
                failure = error
                in_doubt = True
            else:
                if answer.status == _OK:
                    return result_of(answer, decoder)
                failure = refused = error_of(answer)
                if not _worth_trying(answer, refused):
                    if in_doubt and own is not None and isinstance(refused, Conflict):
                        result = await self._look(own)
                        if result is not None:
                            return result
                    raise refused
                in_doubt = in_doubt or _doubtful(answer, refused)
            if back_off is None:
                back_off = BackOff()
            pause = back_off.next()
            if self._loop.time() + pause < end:
                await asyncio.wait([self._closing], timeout=pause)
            if self._loop.time() + pause >= end or self._closing.done():
                raise self._given_up(failure, in_doubt=in_doubt, writing=own is not None)
            patience = min(patience, max(_LEAST_PATIENCE, end - self._loop.time()))

    async def _look(self, own: Callable[[], Awaitable[_Result | None]]) -> _Result | None:
        try:
            return await own()
        except ServiceUnavailable as error:
            raise self._given_up(error, in_doubt=True, writing=True) from None

    def _given_up(self, failure: Exception, *, in_doubt: bool, writing: bool) -> ServiceUnavailable:
        why = (
            "the event store is closing"
            if self._closing.done()
            else f"retry_for is {self._retry_for:g} seconds"
        )
        text = f"{self._address}: {failure}; given up, as {why}"
        if writing:
            text += "; whether it was written is not known" if in_doubt else f"; {NOTHING_WRITTEN}"
        return ServiceUnavailable(text)


def _worth_trying(answer: Answer, refused: EventuaryError) -> bool:
    return answer.status in _TRY_AGAIN or isinstance(refused, EntityTemporarilyUnavailable)


def _doubtful(answer: Answer, refused: EventuaryError) -> bool:
    if isinstance(refused, ServiceUnavailable) and NOTHING_WRITTEN in str(refused):
        return False
    return answer.status in _IN_DOUBT
