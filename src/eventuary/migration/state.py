"""What a store holds beside its events: what differs in two of them, and how that is said.

The same comparison says what is to be written to a target, and whether a target is right.
Snapshots, of which there may be as many as entities, are compared page by page; all else is small.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

import msgspec

from eventuary.engines.copying import Changes, Stored, StoredSnapshot, Target
from eventuary.engines.engine import DeadLetterRecord, KeyRecord, SubscriptionRecord
from eventuary.migration.comparing import MOST_NAMED

_Key = TypeVar("_Key")
_Record = TypeVar("_Record")


class State(msgspec.Struct, frozen=True):
    """All but events and snapshots."""

    spaces: dict[str, int]
    subscriptions: dict[tuple[str, str], SubscriptionRecord]
    dead_letters: dict[tuple[str, str, int], DeadLetterRecord]
    keys: dict[str, KeyRecord]


async def read_state(stored: Stored) -> State:
    """Read it."""
    return State(
        spaces=await stored.spaces(),
        subscriptions=_by(
            lambda each: (each.space, each.subscriber_id), await stored.subscriptions()
        ),
        dead_letters=_by(
            lambda each: (each.space, each.subscriber_id, each.position),
            await stored.dead_letters(),
        ),
        keys=_by(lambda each: each.key_id, await stored.keys()),
    )


def changes_of(source: State, target: State) -> Changes:
    """Return what is to be written to ``target``."""
    changes = Changes(
        spaces={name: number for name, number in source.spaces.items() if name not in target.spaces}
    )
    # A subscription that differs is made anew: it may have been deleted and created again.
    gone, changes.subscriptions = _differing(source.subscriptions, target.subscriptions)
    renewed = {(each.space, each.subscriber_id) for each in changes.subscriptions}
    changes.deleted_subscriptions = [*gone, *renewed & target.subscriptions.keys()]
    kept = {
        key: letter
        for key, letter in target.dead_letters.items()
        if key[:2] not in changes.deleted_subscriptions
    }
    changes.deleted_dead_letters, changes.dead_letters = _differing(source.dead_letters, kept)
    gone_keys, changes.keys = _differing(source.keys, target.keys)
    changes.deleted_keys = [
        *gone_keys,
        *(k.key_id for k in changes.keys if k.key_id in target.keys),
    ]
    return changes


async def copy_state(source: Stored, target: Target) -> list[str]:
    """Write what differs to ``target``; return what differs then, one line each: nothing.

    What was written is read again; what was found the same need not be.
    """
    changes = changes_of(await read_state(source), await read_state(target))
    if changes:
        await target.write(changes)
    named = _state_differences(await read_state(source), await read_state(target))
    number = 0
    async for page, differing in _compared_snapshots(source, target):
        number += len(page)
        if differing:
            await target.write(Changes(snapshots=differing))
            found = await target.find_snapshots([each.key for each in differing])
            named += _named_snapshots(
                [each for each, other in zip(differing, found, strict=True) if each != other]
            )
    return named + await _other_snapshots(source, target, number)


async def state_differences(source: Stored, target: Stored) -> list[str]:
    """Return what differs, one line each."""
    named = _state_differences(await read_state(source), await read_state(target))
    number = 0
    async for page, differing in _compared_snapshots(source, target):
        number += len(page)
        named += _named_snapshots(differing)
    return named + await _other_snapshots(source, target, number)


async def _compared_snapshots(
    source: Stored, target: Stored
) -> AsyncIterator[tuple[list[StoredSnapshot], list[StoredSnapshot]]]:
    """Return pages, and those of each that ``target`` lacks, or has in another version."""
    async for page in source.snapshots():
        found = await target.find_snapshots([each.key for each in page])
        yield page, [each for each, other in zip(page, found, strict=True) if each != other]


def _named_snapshots(differing: Iterable[StoredSnapshot]) -> list[str]:
    return [
        f"snapshot {' '.join(each.key)}: at version {each.entity_version} in SOURCE, and another, "
        "or none, in TARGET"
        for each in differing
    ]


async def _other_snapshots(source: Stored, target: Stored, number: int) -> list[str]:
    """Return what the target has besides the ``number`` of snapshots that were compared.

    None is ever deleted, so mostly their numbers tell. Where they differ, each is looked for: the
    source may have left out of its pages what was replaced meanwhile.
    """
    theirs = await target.count_snapshots()
    if theirs == number:
        return []
    if theirs < number:
        return [f"snapshots: {number} in SOURCE, {theirs} in TARGET"]
    named: list[str] = []
    async for page in target.snapshots():
        found = await source.find_snapshots([each.key for each in page])
        named += [
            f"snapshot {' '.join(each.key)}: is not in SOURCE"
            for each, other in zip(page, found, strict=True)
            if other is None
        ]
        if len(named) >= MOST_NAMED:
            break
    return named[:MOST_NAMED]


def _state_differences(source: State, target: State) -> list[str]:
    return [
        *_named("space", source.spaces, target.spaces),
        *_named("subscription", source.subscriptions, target.subscriptions),
        *_named("dead letter", source.dead_letters, target.dead_letters),
        *_named("API key", source.keys, target.keys),
    ]


def _by(key: Callable[[_Record], _Key], records: Iterable[_Record]) -> dict[_Key, _Record]:
    return {key(record): record for record in records}


def _differing(
    source: dict[_Key, _Record], target: dict[_Key, _Record]
) -> tuple[list[_Key], list[_Record]]:
    """Return the keys that are in ``target`` alone, and the records that are to be written."""
    return (
        [key for key in target if key not in source],
        [record for key, record in source.items() if target.get(key) != record],
    )


def _named(kind: str, source: dict[_Key, _Record], target: dict[_Key, _Record]) -> list[str]:
    named = []
    for key in [*source, *(key for key in target if key not in source)]:
        if source.get(key) == target.get(key):
            continue
        name = " ".join(map(str, key)) if isinstance(key, tuple) else str(key)
        if key not in target:
            what = "is not in TARGET"
        elif key not in source:
            what = "is not in SOURCE"
        else:
            what = "differs"
            ours, theirs = source[key], target[key]
            if isinstance(ours, msgspec.Struct):
                what += ": " + ", ".join(
                    f"{field} is {getattr(ours, field)!r} in SOURCE, {getattr(theirs, field)!r} "
                    "in TARGET"
                    for field in ours.__struct_fields__
                    if field != "secret_hash" and getattr(ours, field) != getattr(theirs, field)
                )
            else:
                what += f": {ours!r} in SOURCE, {theirs!r} in TARGET"
        named.append(f"{kind} {name}: {what}")
    return named
