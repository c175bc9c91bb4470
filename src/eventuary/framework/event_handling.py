"""One event to its handler, and what comes of it: nothing to tell, or a failure."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from eventuary.delivery.consumer import Delivery
from eventuary.event_store import EventStore
from eventuary.events import END_OF_CURRENT_EVENTS, LogEvent
from eventuary.framework.context import Context, Repositories
from eventuary.framework.current_handling import Handling, current_handling
from eventuary.framework.key_store import EntityName
from eventuary.framework.metadata import decode_metadata, metadata_after
from eventuary.framework.not_found import EntityForgotten
from eventuary.framework.subscriber import Handler, Subscriber
from eventuary.framework.tracing import traced_handling
from eventuary.framework.trigger import Trigger
from eventuary.tokens import token_suffix

_log = logging.getLogger("eventuary.subscriber")

#: Characters of a failure's text that go into the dead letter.
_REASON = 500


class Failure(NamedTuple):
    """An event could not be handled."""

    reason: str


class EventHandling:
    """The handlers of one subscriber over one store."""

    def __init__(self, subscriber: Subscriber, store: EventStore) -> None:
        self.codec = subscriber.codec()
        self._subscriber = subscriber
        self._handlers: dict[type, Handler[Any]] = dict(subscriber.handlers)
        self._encryption = subscriber.encryption
        self._repositories = Repositories(store, subscriber.space, subscriber.encryption)
        self._suffix = token_suffix(subscriber.subscriber_id)

    async def settle(self) -> None:
        """Return when what handlers left to be done beside them is done."""
        await self._repositories.settle()

    async def handle(self, delivery: Delivery) -> Failure | None:
        """Handle one event; return what went wrong."""
        stored = delivery.event
        if stored.event_type == END_OF_CURRENT_EVENTS:
            return None
        current_handling.set(Handling(self._subscriber.subscriber_id, stored))
        try:
            handler = await self._handler(stored)
            if handler is None:
                return None
            trigger = Trigger(
                stored.event_id, stored.event_id + self._suffix, decode_metadata(stored.metadata)
            )
            context = Context(delivery, trigger, self._repositories)
            with (
                metadata_after(trigger.metadata, trigger.correlation_id),
                traced_handling(self._subscriber.subscriber_id, stored, trigger.metadata),
            ):
                await handler(context)
        except (Exception, asyncio.CancelledError) as error:
            # Whatever it is, the event comes again; but this task itself may be cancelled.
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            self._complain(stored, error)
            return Failure(f"{type(error).__name__}: {error}"[:_REASON])
        return None

    async def _handler(self, stored: LogEvent) -> Callable[[Context], Awaitable[None]] | None:
        """Return what handles an event; None: it is to be passed over."""
        data = stored.event_data
        if self._encryption is not None:
            entity = EntityName(self._subscriber.space, stored.entity_type, stored.entity_id)
            try:
                cipher = await self._encryption.cipher(entity)
            except EntityForgotten:
                if self._subscriber.forgotten_handler is None:
                    _log.info(
                        "subscriber %r passes over %s %s of %s %r, which was forgotten",
                        self._subscriber.subscriber_id,
                        stored.event_type,
                        stored.event_id,
                        stored.entity_type,
                        stored.entity_id,
                        extra=self._ids(stored),
                    )
                return self._subscriber.forgotten_handler
            data = cipher.decrypt(stored.event_type, data)
        event = self.codec.decode(stored.entity_type, stored.event_type, data, stored.metadata)
        if event is None:
            return None  # selected by an earlier version of this subscriber
        return partial(self._handlers[type(event)], event)

    def _complain(self, stored: LogEvent, error: BaseException) -> None:
        _log.warning(
            "subscriber %r could not handle %s %s of %s %r, it comes again: %s: %s",
            self._subscriber.subscriber_id,
            stored.event_type,
            stored.event_id,
            stored.entity_type,
            stored.entity_id,
            type(error).__name__,
            error,
            exc_info=error,
            extra=self._ids(stored),
        )

    def _ids(self, stored: LogEvent) -> dict[str, str]:
        return {
            "subscriber_id": self._subscriber.subscriber_id,
            "event_id": stored.event_id,
            "event_type": stored.event_type,
            "entity_type": stored.entity_type,
            "entity_id": stored.entity_id,
        }
