"""Aggregate: commands decide and return events; ``@apply`` methods change state and decide nothing.

    class Order(Aggregate):
        @classmethod
        def create(cls, customer_id: str, total: Decimal) -> OrderCreated:
            return OrderCreated(customer_id, total)

        def approve(self) -> OrderApproved | None:
            return OrderApproved() if self.state is OrderState.CREATED else None

        @apply
        def _created(self, event: OrderCreated) -> None:
            self.state = OrderState.CREATED

A public method is a command, or a question, by what it says it returns; so it must say so. A class
whose commands emit what it does not apply is refused when it is made. An ``@apply`` method may also
return the next state instead of changing this one: then the aggregate can be a frozen dataclass.
"""

import inspect
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

from eventuary.framework.event import AnyEvent
from eventuary.framework.event_codec import EventCodec
from eventuary.framework.snapshot_strategy import SnapshotStrategy

#: What a command returns: one event, several, or none.
Decision = AnyEvent | Sequence[AnyEvent] | None

_Applier = Callable[[Any, Any], Any]
_Method = TypeVar("_Method", bound=Callable[..., Any])
_Self = TypeVar("_Self", bound="Aggregate")

_MARK = "__eventuary_applies__"


class UnknownEvents(Enum):
    """What a load does with an event type that the aggregate does not apply."""

    REFUSE = "refuse"  #: raise: a state without it may be wrong
    SKIP = "skip"  #: go on: it is known to mean nothing here


def apply(method: _Method) -> _Method:
    """Mark a method that applies events: of the type, or the types, of its second parameter."""
    setattr(method, _MARK, True)
    return method


class Aggregate:
    """An entity whose state is the sum of its events.

    It is made by calling the class without arguments, and then gets its events. ``id`` and
    ``version`` are set by the repository.
    """

    #: The entity's id; empty before it is stored.
    id: str = ""
    #: The id of the last event that is in this state; empty before it is stored.
    version: str = ""

    __entity_type__: ClassVar[str] = ""
    __appliers__: ClassVar[dict[type[AnyEvent], _Applier]] = {}
    __codec__: ClassVar[EventCodec]
    __unknown_events__: ClassVar[UnknownEvents] = UnknownEvents.REFUSE
    __snapshots__: ClassVar[SnapshotStrategy | None] = None

    def __init_subclass__(
        cls,
        *,
        unknown_events: UnknownEvents | None = None,
        snapshots: SnapshotStrategy | None = None,
        **arguments: Any,
    ) -> None:
        """Find appliers and commands, and refuse a class that could not apply what it emits.

        ``snapshots``: when one is taken, by every repository that is not told otherwise; so by
        those of handlers too.
        """
        super().__init_subclass__(**arguments)
        if unknown_events is not None:
            cls.__unknown_events__ = unknown_events
        if snapshots is not None:
            cls.__snapshots__ = snapshots
        # What is defined where the class is: event classes in a function, the class itself.
        scope = {**sys._getframe(1).f_locals, cls.__name__: cls}
        cls.__appliers__ = _find_appliers(cls, scope)
        if not cls.__appliers__:
            return
        entity_types = {each.__event__.type.entity_type for each in cls.__appliers__}
        if len(entity_types) > 1:
            raise TypeError(
                f"{cls.__name__} applies events of several entity types: "
                f"{', '.join(sorted(entity_types))}; an aggregate is one entity"
            )
        cls.__entity_type__ = entity_types.pop()
        cls.__codec__ = EventCodec(cls.__appliers__)
        _check_commands(cls, scope)


def fold(aggregate: _Self, events: Iterable[AnyEvent]) -> _Self:
    """Return the aggregate with events applied. Raises TypeError for one that it does not apply."""
    appliers = type(aggregate).__appliers__
    for event in events:
        applier = appliers.get(type(event))
        if applier is None:
            raise TypeError(
                f"{type(aggregate).__name__} has no @apply method for {type(event).__name__}"
            )
        following = applier(aggregate, event)
        if following is not None:
            aggregate = following
    return aggregate


def decided(decision: Decision) -> tuple[AnyEvent, ...]:
    """Return a command's decision as events. Raises TypeError when it is none."""
    if decision is None:
        return ()
    if isinstance(decision, Sequence):
        if all(hasattr(event, "__event__") for event in decision):
            return tuple(decision)
    elif hasattr(decision, "__event__"):
        return (decision,)
    if inspect.isawaitable(decision):
        raise TypeError("a command is a coroutine function; commands decide and do not wait")
    raise TypeError(
        f"a command returned {type(decision).__name__}; it returns an event, a sequence of events, "
        "or None"
    )


def _find_appliers(cls: type[Aggregate], scope: dict[str, Any]) -> dict[type[AnyEvent], _Applier]:
    """Return the inherited appliers and the class's own, by event class."""
    appliers: dict[type[AnyEvent], _Applier] = {}
    for base in reversed(cls.__mro__[1:]):
        appliers.update(getattr(base, "__appliers__", {}))
    own: dict[type[AnyEvent], str] = {}
    for name, method in vars(cls).items():
        if not getattr(method, _MARK, False):
            _refuse_lost_applier(cls, name)
            continue
        parameters = list(inspect.signature(method).parameters)
        hints = _hints(cls, name, method, scope)
        if len(parameters) != 2 or parameters[1] not in hints:
            raise TypeError(
                f"{cls.__name__}.{name}: an @apply method takes self and an annotated event"
            )
        for event_class in _classes_in(hints[parameters[1]]):
            if not _is_event(event_class):
                raise TypeError(
                    f"{cls.__name__}.{name}: {event_class!r} is not an event class: derive it from "
                    "Event, with an entity type"
                )
            if event_class in own:
                raise TypeError(
                    f"{cls.__name__} applies {event_class.__name__} twice: in {own[event_class]} "
                    f"and in {name}"
                )
            own[event_class] = name
            appliers[event_class] = method
    return appliers


def _check_commands(cls: type[Aggregate], scope: dict[str, Any]) -> None:
    for name, member in _unchecked_members(cls).items():
        method = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if name.startswith("_") or not isinstance(method, types.FunctionType):
            continue
        if getattr(method, _MARK, False):
            continue
        if "return" not in method.__annotations__:
            raise TypeError(
                f"{cls.__name__}.{name} does not say what it returns: annotate the events that it "
                "emits, or what else it answers"
            )
        for emitted in _classes_in(_hints(cls, name, method, scope)["return"]):
            if _is_event(emitted) and emitted not in cls.__appliers__:
                raise TypeError(
                    f"{cls.__name__}.{name} emits {emitted.__name__}, and no @apply method of "
                    f"{cls.__name__} applies it"
                )


def _refuse_lost_applier(cls: type[Aggregate], name: str) -> None:
    """Refuse what overrides an ``@apply`` method and is none: it would never be called."""
    for base in cls.__mro__[1:]:
        if getattr(vars(base).get(name), _MARK, False):
            raise TypeError(
                f"{cls.__name__}.{name} overrides an @apply method of {base.__name__} and would "
                "never be called: mark it with @apply too"
            )


def _unchecked_members(cls: type[Aggregate]) -> dict[str, Any]:
    """Return the class's own members, and those of its bases that apply nothing themselves."""
    members: dict[str, Any] = {}
    for each in reversed(cls.__mro__):
        own = {
            name: member
            for name, member in vars(each).items()
            if inspect.getattr_static(cls, name) is member
        }
        if each is cls or (issubclass(each, Aggregate) and not each.__appliers__):
            members.update(own)
    return members


def _hints(
    cls: type, name: str, method: Callable[..., Any], scope: dict[str, Any]
) -> dict[str, Any]:
    try:
        return get_type_hints(method, localns=scope)
    except NameError as error:
        raise TypeError(
            f"{cls.__name__}.{name}: {error}; import the classes of its annotations where "
            f"{cls.__name__} is defined, not under TYPE_CHECKING"
        ) from error


def _classes_in(annotation: Any) -> Iterator[Any]:
    """Return the classes that an annotation is made of: ``A | None``, ``list[A | B]``, …"""
    origin = get_origin(annotation)
    if origin is Union or origin is types.UnionType or origin is not None:
        for argument in get_args(annotation):
            yield from _classes_in(argument)
    elif annotation is not types.NoneType and annotation is not Ellipsis:
        yield annotation


def _is_event(candidate: Any) -> bool:
    return isinstance(candidate, type) and hasattr(candidate, "__event__")
