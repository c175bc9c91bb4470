"""RemoteEventStore: an event store that is a client of a running server.

REST carries create, append, load, history and snapshots; STOMP carries each subscription, on a
connection of its own: a consumer that pauses, or is refused, holds up no other. Names and texts are
checked here as far as the wire needs it; limits are the server's to check.

What fails in passing is tried again, and no append is done twice by that (``calls`` has the rules):
an entity that is created without an id gets one here, in the form that the server would give, so
that a second attempt is known for what it is.
"""

import asyncio
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from eventuary.delivery.consumer import AckMode, Consumer, Receiver
from eventuary.delivery.policy import DeliveryPolicy
from eventuary.delivery.status import SubscriptionStatus
from eventuary.errors import NotFound, ServiceUnavailable
from eventuary.event_store import Durability, ReadFrom
from eventuary.events import Append, Appended, Entity, EntityEvent, NewEvent, NewSnapshot
from eventuary.ids import IdGenerator, new_node_number, parse_id
from eventuary.limits import Limits
from eventuary.remote.address import ServerAddress
from eventuary.remote.answers import CaughtUp, History
from eventuary.remote.calls import Calls
from eventuary.remote.consumer import RemoteConsumer
from eventuary.remote.line import Line
from eventuary.remote.own_appends import own_append
from eventuary.remote.requests import Requests
from eventuary.remote.subscribing import Subscribing
from eventuary.validation import (
    check_entity_id,
    check_entity_type,
    check_selection,
    check_snapshot,
    check_space,
    check_subscriber_id,
    check_token,
    check_wait,
    checked,
)

#: Sizes and numbers are the server's to limit.
_NO_LIMITS = Limits(
    events_per_append=sys.maxsize,
    event_data_size=sys.maxsize,
    event_types_per_subscription=sys.maxsize,
)

_appended = msgspec.json.Decoder(Appended)
_entity = msgspec.json.Decoder(Entity)
_history = msgspec.json.Decoder(History)
_status = msgspec.json.Decoder(SubscriptionStatus)
_caught_up = msgspec.json.Decoder(CaughtUp)
_anything = msgspec.json.Decoder(msgspec.Raw)


class RemoteEventStore:
    """Satisfies ``EventStore``. Opened without a call: a server that starts later is waited for.

    ``url``: as ``ServerAddress`` reads it. ``tls``: for https, whom to trust; by default, the
    authorities that the system trusts, or those in ``SSL_CERT_FILE``. Durations are in seconds.

    - ``retry_for``: so long a call, or a first subscribe, is tried until it raises
      ServiceUnavailable; subscriptions that were there are mended for ever.
    - ``answer_timeout``: within so long a call must be answered.
    - ``connections``: so many calls may be under way at once.
    - ``heart_beat``: the server must be heard from every so often (1 at least; 0: it need not), or
      a subscription's connection counts as broken.
    """

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        retry_for: float = 30.0,
        answer_timeout: float = 15.0,
        connections: int = 64,
        heart_beat: float = 10.0,
    ) -> None:
        self._address = address = ServerAddress.parse(url)
        self._tls = (tls or ssl.create_default_context()) if address.tls else None
        self._retry_for = retry_for
        self._answer_timeout = answer_timeout
        self._connections = connections
        self._heart_beat = heart_beat
        self._requests = Requests(address)
        self._ids = IdGenerator(new_node_number())
        self._calls: Calls | None = None
        self._consumers: set[RemoteConsumer] = set()

    async def __aenter__(self) -> Self:
        """Open it."""
        self._calls = Calls(
            self._address,
            self._tls,
            retry_for=self._retry_for,
            answer_timeout=self._answer_timeout,
            connections=self._connections,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End subscriptions, finish calls, close connections."""
        calls, self._calls = self._open_calls(), None
        consumers = list(self._consumers)
        for consumer in consumers:
            consumer.end("the event store is closing")
        await asyncio.gather(*(consumer.close() for consumer in consumers))
        await calls.close()

    def __repr__(self) -> str:
        return f"RemoteEventStore({self._address})"

    async def create(
        self,
        space: str,
        entity_type: str,
        events: Sequence[NewEvent],
        *,
        entity_id: str | None = None,
        triggering_event_token: str | None = None,
    ) -> Appended:
        """Create an entity."""
        append = checked(
            Append(space, entity_type, entity_id, None, events, triggering_event_token), _NO_LIMITS
        )
        calls = self._open_calls()
        chosen = entity_id if entity_id is not None else self._ids.next_id()
        request = self._requests.create(append, chosen)
        return await calls.make(request, _appended, self._own(calls, append, chosen))

    async def append(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        events: Sequence[NewEvent],
        *,
        triggering_event_token: str | None = None,
        snapshot: NewSnapshot | None = None,
    ) -> Appended:
        """Append to an entity."""
        version = parse_id(entity_version, "entityVersion")
        append = checked(
            Append(
                space, entity_type, entity_id, version, events, triggering_event_token, snapshot
            ),
            _NO_LIMITS,
        )
        calls = self._open_calls()
        request = self._requests.append(append, entity_id, version)
        return await calls.make(request, _appended, self._own(calls, append, entity_id))

    async def load(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        *,
        triggering_event_token: str | None = None,
    ) -> Entity:
        """Read an entity."""
        _check_entity(space, entity_type, entity_id)
        if triggering_event_token is not None:
            check_token(triggering_event_token)
        request = self._requests.load(space, entity_type, entity_id, triggering_event_token)
        return await self._open_calls().make(request, _entity)

    async def history(
        self, space: str, entity_type: str, entity_id: str, *, after: str | None = None
    ) -> list[EntityEvent]:
        """Read an entity's events, whatever snapshot there is."""
        _check_entity(space, entity_type, entity_id)
        if after is not None:
            after = parse_id(after, "after")
        return await self._read_history(self._open_calls(), space, entity_type, entity_id, after)

    async def store_snapshot(
        self,
        space: str,
        entity_type: str,
        entity_id: str,
        entity_version: str,
        snapshot: NewSnapshot,
    ) -> None:
        """Keep a state."""
        _check_entity(space, entity_type, entity_id)
        check_snapshot(snapshot, _NO_LIMITS)
        version = parse_id(entity_version, "entityVersion")
        request = self._requests.store_snapshot(space, entity_type, entity_id, version, snapshot)
        await self._open_calls().make(request, _anything)

    async def subscribe(
        self,
        space: str,
        subscriber_id: str,
        selection: Mapping[str, Sequence[str]],
        receiver: Receiver,
        *,
        durability: Durability = Durability.DURABLE,
        read_from: ReadFrom = ReadFrom.BEGINNING,
        progress_notifications: bool = False,
        ack_mode: AckMode = AckMode.INDIVIDUAL,
        policy: DeliveryPolicy | None = None,
    ) -> Consumer:
        """Deliver the selected events to ``receiver``.

        Raises also Unauthorized and Forbidden. A TRANSIENT subscription ends when its connection
        breaks, and begins anew, as it began first, when that is mended.
        """
        if policy is not None:
            policy.check()
        check_space(space)
        check_subscriber_id(subscriber_id)
        check_selection(selection, _NO_LIMITS)
        calls = self._open_calls()
        subscribing = Subscribing(
            space,
            subscriber_id,
            {entity_type: list(names) for entity_type, names in selection.items()},
            durability,
            read_from,
            progress_notifications,
            policy,
        )
        line = Line(self._address, self._tls, self._heart_beat, self._answer_timeout)

        async def ask_caught_up(wait: float) -> bool:
            return await self._ask_caught_up(calls, space, subscriber_id, wait)

        consumer = RemoteConsumer(
            subscribing, receiver, ack_mode, line, ask_caught_up, self._consumers.discard
        )
        self._consumers.add(consumer)
        await consumer.open(self._retry_for)
        return consumer

    async def inspect(self, space: str, subscriber_id: str) -> SubscriptionStatus:
        """Return where a subscription stands."""
        _check_subscription(space, subscriber_id)
        request = self._requests.inspect(space, subscriber_id)
        return await self._open_calls().make(request, _status)

    async def caught_up(self, space: str, subscriber_id: str, wait: float) -> bool:
        """Wait until all of the log as it is now has been acknowledged."""
        _check_subscription(space, subscriber_id)
        check_wait(wait)
        return await self._ask_caught_up(self._open_calls(), space, subscriber_id, wait)

    async def delete_subscription(self, space: str, subscriber_id: str) -> None:
        """Forget a subscription."""
        _check_subscription(space, subscriber_id)
        request = self._requests.delete_subscription(space, subscriber_id)
        with suppress(NotFound):  # there is none, or the answer of a first attempt was lost
            await self._open_calls().make(request, _anything)

    def _open_calls(self) -> Calls:
        if self._calls is None:
            raise ServiceUnavailable("the event store is not open: use it within `async with`")
        return self._calls

    async def _read_history(
        self, calls: Calls, space: str, entity_type: str, entity_id: str, after: str | None
    ) -> list[EntityEvent]:
        request = self._requests.history(space, entity_type, entity_id, after)
        return (await calls.make(request, _history)).events

    async def _ask_caught_up(
        self, calls: Calls, space: str, subscriber_id: str, wait: float
    ) -> bool:
        request = self._requests.caught_up(space, subscriber_id, wait)
        return (await calls.make(request, _caught_up, longer=wait)).caught_up

    def _own(
        self, calls: Calls, append: Append, entity_id: str
    ) -> Callable[[], Awaitable[Appended | None]]:
        """Return what finds out whether an append, whose answer was lost, was done."""

        async def look() -> Appended | None:
            stored = await self._read_history(
                calls, append.space, append.entity_type, entity_id, append.expected_version
            )
            return own_append(entity_id, append.events, stored)

        return look


def _check_entity(space: str, entity_type: str, entity_id: str) -> None:
    check_space(space)
    check_entity_type(entity_type)
    check_entity_id(entity_id)


def _check_subscription(space: str, subscriber_id: str) -> None:
    check_space(space)
    check_subscriber_id(subscriber_id)
