"""One event to its handler, and what comes of it: nothing to tell, or a failure."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from eventuary.delivery.consumer import Delivery
from eventuary.event_store import Durability, EventStore
from eventuary.events import END_OF_CURRENT_EVENTS, LogEvent
from eventuary.framework.context import Context, Repositories
from eventuary.framework.current_handling import Handling, current_handling
from eventuary.framework.key_store import EntityName
from eventuary.framework.metadata import decode_metadata, metadata_after
from eventuary.framework.not_found import EntityForgotten
from eventuary.framework.outside_calls import OutsideCalls
from eventuary.framework.outside_errors import OutsideSystemDown, Refused
from eventuary.framework.subscriber import Handler, Subscriber
from eventuary.framework.tracing import traced_handling
from eventuary.framework.trigger import Trigger
from eventuary.tokens import token_suffix

_log = logging.getLogger("eventuary.subscriber")

#: Characters of a failure's text that go into the dead letter.
_REASON = 500


class Failure(NamedTuple):
    """An event could not be handled; ``for_good``: nor will it ever."""

    reason: str
    for_good: bool = False


class EventHandling:
    """The handlers of one subscriber over one store."""

    def __init__(self, subscriber: Subscriber, store: EventStore) -> None:
        self.codec = subscriber.codec()
        self._subscriber = subscriber
        self._handlers: dict[type, Handler[Any]] = dict(subscriber.handlers)
        self._encryption = subscriber.encryption
        self._repositories = Repositories(store, subscriber.space, subscriber.encryption)
        self._calls = OutsideCalls(store, subscriber.space)
        self._suffix = token_suffix(subscriber.subscriber_id)

    async def settle(self) -> None:
        """Return when what handlers left to be done beside them is done."""
        await self._repositories.settle()

    async def handle(self, delivery: Delivery) -> Failure | OutsideSystemDown | None:
        """Handle one event; return what went wrong, or what kept it from being handled."""
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
            context = Context(delivery, trigger, self._repositories, self._calls)
            with (
                metadata_after(trigger.metadata, trigger.correlation_id),
                traced_handling(self._subscriber.subscriber_id, stored, trigger.metadata),
            ):
                await handler(context)
        except OutsideSystemDown as down:
            if self._subscriber.durability is Durability.DURABLE:
                return down
            # Left, a transient subscription would be gone.
            self._complain(stored, down, "it comes again")
            return Failure(_reason(down))
        except Refused as refusal:
            self._complain(stored, refusal, "it is given up")
            return Failure(_reason(refusal), for_good=True)
        except (Exception, asyncio.CancelledError) as error:
            # Whatever it is, the event comes again; but this task itself may be cancelled.
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            self._complain(stored, error, "it comes again")
            return Failure(_reason(error))
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

    def _complain(self, stored: LogEvent, error: BaseException, outcome: str) -> None:
        _log.warning(
            "subscriber %r could not handle %s %s of %s %r, %s: %s: %s",
            self._subscriber.subscriber_id,
            stored.event_type,
            stored.event_id,
            stored.entity_type,
            stored.entity_id,
            outcome,
            type(error).__name__,
            error,
            exc_info=None if isinstance(error, Refused) else error,  # that is an answer, no mistake
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


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_REASON]
