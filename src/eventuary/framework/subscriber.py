"""Subscriber: a name under which events are delivered, and what is done with each.

    customers = Subscriber("customer-service")

    @customers.on(OrderCreated)
    async def reserve_credit(event: OrderCreated, context: Context) -> None:
        await context.update(
            Customer, event.customer_id, Customer.reserve_credit, context.entity_id, event.total
        )

    async with store, running(store, customers): ...

It is a declaration: it holds no connection and no state, and may run in any number of processes.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.event_store import Durability, ReadFrom
from eventuary.events import DEFAULT_SPACE
from eventuary.framework.context import Context
from eventuary.framework.encryption import Encryption
from eventuary.framework.event import AnyEvent
from eventuary.framework.event_codec import EventCodec

_E = TypeVar("_E", bound=AnyEvent)
_E1 = TypeVar("_E1", bound=AnyEvent)
_E2 = TypeVar("_E2", bound=AnyEvent)
_E3 = TypeVar("_E3", bound=AnyEvent)
_E4 = TypeVar("_E4", bound=AnyEvent)

#: What handles events of a type. It returns when it is done; what it raises makes the event come
#: again after a pause.
Handler = Callable[[_E, Context], Awaitable[None]]
_Register = Callable[[Handler[_E]], Handler[_E]]

#: What is told of events that nobody can read any more. Of the event it has the context alone.
ForgottenHandler = Callable[[Context], Awaitable[None]]


class Subscriber:
    """The subscription ``subscriber_id`` of a space, and its handlers.

    ``durability``: TRANSIENT ends, and forgets, with its last process. ``read_from``: where it
    begins when it has no stored position. ``policy``: how much is under way, how failures are
    retried, and whether a swimlane waits at a dead letter or goes on; None: what the store has.
    ``encryption``: decrypts the events, and encrypts what handlers store through their context;
    the events of entities that were forgotten are passed over.
    """

    def __init__(
        self,
        subscriber_id: str,
        *,
        space: str = DEFAULT_SPACE,
        durability: Durability = Durability.DURABLE,
        read_from: ReadFrom = ReadFrom.BEGINNING,
        policy: DeliveryPolicy | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        self.subscriber_id = subscriber_id
        self.space = space
        self.durability = durability
        self.read_from = read_from
        self.policy = policy
        self.encryption = encryption
        self.handlers: dict[type[AnyEvent], Handler[Any]] = {}
        self.forgotten_handler: ForgottenHandler | None = None

    @overload
    def on(self, event_class: type[_E], /) -> _Register[_E]: ...
    @overload
    def on(self, first: type[_E1], second: type[_E2], /) -> _Register[_E1 | _E2]: ...
    @overload
    def on(
        self, first: type[_E1], second: type[_E2], third: type[_E3], /
    ) -> _Register[_E1 | _E2 | _E3]: ...
    @overload
    def on(
        self, first: type[_E1], second: type[_E2], third: type[_E3], fourth: type[_E4], /
    ) -> _Register[_E1 | _E2 | _E3 | _E4]: ...
    @overload
    def on(self, *event_classes: type[AnyEvent]) -> _Register[Any]: ...

    def on(self, *event_classes: type[AnyEvent]) -> _Register[Any]:
        """Let a function handle events of these types.

        Raises TypeError when one of them has a handler here already: one acknowledgement can't
        speak for two. A second handler is a subscriber of another name.
        """
        if not event_classes:
            raise TypeError("on() takes the event types to handle: @subscriber.on(OrderCreated)")

        def register(handler: Handler[Any]) -> Handler[Any]:
            for event_class in event_classes:
                present = self.handlers.get(event_class)
                if present is not None:
                    raise TypeError(
                        f"subscriber {self.subscriber_id!r} handles {event_class.__name__} in "
                        f"{getattr(present, '__name__', present)!r} already; a second handler is "
                        "a subscriber of another name"
                    )
                self.handlers[event_class] = handler
            return handler

        return register

    def on_forgotten(self, handler: ForgottenHandler) -> ForgottenHandler:
        """Let a function be called for each event of an entity that was forgotten.

        Say, to remove what is left of it in a view; it may be called several times for an entity,
        and for one of which nothing is left. Raises TypeError for a second one, and where there is
        no ``encryption``.
        """
        if self.encryption is None:
            raise TypeError(
                f"subscriber {self.subscriber_id!r} has no encryption=, so nothing is forgotten"
            )
        if self.forgotten_handler is not None:
            raise TypeError(
                f"subscriber {self.subscriber_id!r} has a handler for forgotten entities already: "
                f"{getattr(self.forgotten_handler, '__name__', self.forgotten_handler)!r}"
            )
        self.forgotten_handler = handler
        return handler

    def codec(self) -> EventCodec:
        """Return what decodes the events that have handlers. Raises TypeError when it can't be."""
        if not self.handlers:
            raise TypeError(
                f"subscriber {self.subscriber_id!r} has no handlers: "
                f"@subscriber.on(SomeEvent) declares one"
            )
        return EventCodec(self.handlers)
