"""Differences between what was expected and what came, as lines that can be read.

Values are compared part by part, as deep as they go: structs, dataclasses and plain objects by
field, mappings by key, lists and tuples by position. An object that is only equal to itself counts
as equal to another with the same fields, for that is all that a state rebuilt from events can be.
A list and a tuple of the same elements are the same: JSON knows one of them.
"""

import dataclasses
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any

import msgspec

#: Characters of a value's text that are shown.
_SHOWN = 300

_ABSENT = object()


def differences(expected: object, got: object, path: str = "") -> list[str]:
    """Return a line for each part that differs, named by its path; none: they are the same."""
    return _differences(expected, got, path, set())


def attribute_differences(expected: object, got: object) -> list[str]:
    """Return a line for each attribute that differs between two objects, whatever their ``==``."""
    one, other = (
        {f".{name}": each for name, each in attributes(value).items()} for value in (expected, got)
    )
    return _of_parts(one, other, "", set())


def shown(value: object) -> str:
    """Return a value's text, its middle left out when it is long."""
    text = repr(value)
    if len(text) <= _SHOWN:
        return text
    half = _SHOWN // 2
    return f"{text[:half]} … {text[-half:]}"


def attributes(value: object) -> dict[str, object]:
    """Return what an object holds, by name: its ``__dict__`` and its slots."""
    found = dict(getattr(value, "__dict__", {}))
    for each in type(value).__mro__:
        slots = each.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def _differences(
    expected: object, got: object, path: str, under_way: set[tuple[int, int]]
) -> list[str]:
    pair = (id(expected), id(got))
    if expected is got or pair in under_way or _equal(expected, got):
        return []
    if isinstance(expected, Set) and isinstance(got, Set):
        return _of_sets(expected, got, path)
    parts = _parts(expected), _parts(got)
    if parts[0] is None or parts[1] is None or not _of_one_kind(expected, got):
        return [f"{path or 'it'}: expected {shown(expected)}, got {shown(got)}"]
    under_way.add(pair)
    found = _of_parts(parts[0], parts[1], path, under_way)
    under_way.discard(pair)
    if not found and _has_a_mind_of_its_own(expected):
        return [f"{path or 'it'}: expected {shown(expected)}, got {shown(got)}, which is not equal"]
    return found


def _of_parts(
    expected: dict[str, object],
    got: dict[str, object],
    path: str,
    under_way: set[tuple[int, int]],
) -> list[str]:
    found = []
    for name in dict.fromkeys([*expected, *got]):
        below = f"{path}{name}" if path else name.removeprefix(".")
        one, other = expected.get(name, _ABSENT), got.get(name, _ABSENT)
        if one is _ABSENT:
            found.append(f"{below}: not expected, got {shown(other)}")
        elif other is _ABSENT:
            found.append(f"{below}: expected {shown(one)}, is missing")
        else:
            found += _differences(one, other, below, under_way)
    return found


def _of_sets(expected: Set[Any], got: Set[Any], path: str) -> list[str]:
    lines = []
    for text, elements in (("is missing", expected - got), ("was not expected", got - expected)):
        lines += [f"{path or 'it'}: {each} {text}" for each in sorted(map(shown, elements))]
    return lines


def _equal(expected: object, got: object) -> bool:
    try:
        return bool(expected == got)
    except Exception:  # noqa: BLE001 - whatever a type makes of ==, its parts can be looked at
        return False


def _parts(value: object) -> dict[str, object] | None:
    """Return what a value is made of, by the end of a path; None when it is made of nothing."""
    if isinstance(value, msgspec.Struct):
        return {f".{name}": getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f".{each.name}": getattr(value, each.name, _ABSENT)
            for each in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {f"[{key!r}]": each for key, each in value.items()}
    if isinstance(value, list | tuple):
        return {f"[{index}]": each for index, each in enumerate(value)}
    if isinstance(value, Enum | type | FunctionType | ModuleType | str | bytes):
        return None
    found = {f".{name}": each for name, each in attributes(value).items()}
    return found if found or type(value).__eq__ is object.__eq__ else None


def _of_one_kind(expected: object, got: object) -> bool:
    if isinstance(expected, Mapping):
        return isinstance(got, Mapping)
    if isinstance(expected, Sequence):
        return isinstance(got, Sequence)
    return type(expected) is type(got)


def _has_a_mind_of_its_own(value: object) -> bool:
    """Whether a type may call two values different whose parts are the same."""
    return not (
        isinstance(value, msgspec.Struct | Mapping | list | tuple)
        or dataclasses.is_dataclass(value)
        or type(value).__eq__ is object.__eq__
    )
