"""Event: what happened to an entity, as a frozen, typed struct.

    class OrderEvent(Event, entity="orders.Order"): ...

    class OrderCreated(OrderEvent):
        customer_id: str
        total: Decimal

The class that names ``entity`` is the family; its subclasses are the events. They are all that two
services share. An event's type on the wire is its class's name unless ``name`` says otherwise, so
that modules can be moved and renamed; ``version`` and ``formerly`` are for events that changed
(``eventuary.framework.upcasting``). The JSON has the fields as they are written here, unless
``rename="camel"`` or another of msgspec's settings says otherwise.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, dataclass_transform

import msgspec

from eventuary.events import EventType

#: An event's data as JSON has it: what upcasters work on.
JsonObject = dict[str, Any]

#: Brings data of one version to the next.
UpcasterFunction = Callable[[JsonObject], JsonObject]


class EventDescription:
    """What the framework knows of an event class; found as its ``__event__``."""

    __slots__ = ("former_names", "type", "upcasters", "version")

    def __init__(self, type_: EventType, version: int, former_names: Sequence[str]) -> None:
        #: The entity type, and the event type's name on the wire.
        self.type = type_
        #: Of the data's shape; 1 unless the class says otherwise.
        self.version = version
        #: Names under which events of this class were stored before.
        self.former_names = tuple(former_names)
        #: By the version that each begins with.
        self.upcasters: dict[int, UpcasterFunction] = {}

    @property
    def types(self) -> list[EventType]:
        """All types under which events of this class are found in the log."""
        entity_type = self.type.entity_type
        return [self.type, *(EventType(entity_type, name) for name in self.former_names)]


class AnyEvent(Protocol):
    """An instance of an event class: ours, or one that an integration brings."""

    __event__: ClassVar[EventDescription]


def describe(
    class_name: str,
    inherited: EventDescription | None,
    entity: str | None,
    name: str | None,
    version: int,
    formerly: Sequence[str],
) -> EventDescription:
    """Return the description of a new event class. Raises TypeError when it can't be one."""
    if entity is None:
        if inherited is None:
            raise TypeError(
                f"{class_name} has no entity type: write class {class_name}(Event, "
                'entity="…"), or derive it from a class that has one'
            )
        entity = inherited.type.entity_type
    elif inherited is not None and inherited.type.entity_type != entity:
        raise TypeError(
            f"{class_name} names the entity type {entity!r}, but derives from events of "
            f"{inherited.type.entity_type!r}"
        )
    if version < 1:
        raise TypeError(f"{class_name}: version {version} is below 1, the first")
    return EventDescription(EventType(entity, name or class_name), version, formerly)


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class EventMeta(msgspec.StructMeta):
    """Makes event classes; takes the settings of msgspec's structs besides its own."""

    __event__: EventDescription

    def __new__(
        mcls,
        class_name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        entity: str | None = None,
        name: str | None = None,
        version: int = 1,
        formerly: Sequence[str] = (),
        **settings: Any,
    ) -> "EventMeta":
        """Make the class, and describe it."""
        made = super().__new__(mcls, class_name, bases, namespace, **{"frozen": True, **settings})
        if any(isinstance(base, EventMeta) for base in bases):
            inherited = getattr(made, "__event__", None)
            made.__event__ = describe(class_name, inherited, entity, name, version, formerly)
        return made


# Said again: type-checkers ask a base class, here msgspec's, before the metaclass.
@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Event(msgspec.Struct, metaclass=EventMeta):
    """The root of all events. Frozen; compared by value; fields of a newer writer are ignored."""

    __event__: ClassVar[EventDescription]
