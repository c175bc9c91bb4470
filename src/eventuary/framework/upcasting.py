"""Upcasting: an old event's JSON is brought to the present shape, version by version.

    class OrderCreated(OrderEvent, version=3): ...

    @upcaster(OrderCreated, from_version=1)
    def in_cents(data: JsonObject) -> JsonObject:
        return {**data, "total": data["total"] * 100}

    @upcaster(OrderCreated, from_version=2)
    def with_currency(data: JsonObject) -> JsonObject: ...

Each function knows two shapes: the one it takes and the next. The version is stored in the event's
metadata; an event that has none is of version 1. An event that only changed its name says so by
``formerly=("OldName",)``.
"""

from collections.abc import Callable

from eventuary.framework.event import AnyEvent, JsonObject, UpcasterFunction


def upcaster(
    event_class: type[AnyEvent], *, from_version: int
) -> Callable[[UpcasterFunction], UpcasterFunction]:
    """Let a function bring data of ``from_version`` to the version after it.

    Raises TypeError when the class has no such older version, or a function for it already.
    """
    description = event_class.__event__
    if not 1 <= from_version < description.version:
        raise TypeError(
            f"from_version: {event_class.__name__} has version {description.version}; an "
            f"upcaster from version {from_version} is of no use to it"
        )
    if from_version in description.upcasters:
        raise TypeError(
            f"{event_class.__name__} has an upcaster from version {from_version} already"
        )

    def register(function: UpcasterFunction) -> UpcasterFunction:
        description.upcasters[from_version] = function
        return function

    return register


def check_upcasters(event_class: type[AnyEvent]) -> None:
    """Raise TypeError when data of some older version could not be brought to the present."""
    description = event_class.__event__
    missing = [
        str(version)
        for version in range(1, description.version)
        if version not in description.upcasters
    ]
    if missing:
        raise TypeError(
            f"{event_class.__name__} has version {description.version} and no upcaster from "
            f"version {', '.join(missing)}: write @upcaster({event_class.__name__}, "
            f"from_version={missing[0]})"
        )


def upcast(event_class: type[AnyEvent], data: JsonObject, version: int) -> JsonObject:
    """Return data as the class wants it. Raises ValueError for a version newer than it knows."""
    description = event_class.__event__
    if version > description.version:
        raise ValueError(
            f"{description.type.event_type} was stored in version {version}, this program knows "
            f"up to {description.version}: upgrade it"
        )
    for older in range(version, description.version):
        data = description.upcasters[older](data)
    return data
