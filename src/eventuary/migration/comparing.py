"""Comparing the events of two stores: page by page, as both have them on their disks.

Each side's events go into a digest of its own. Where the digests part, the difference is named:
which position, and what of it. Reading stops after some differences: there may be millions.
"""

import asyncio

import msgspec

from eventuary.engines.copying import Stored
from eventuary.events import LogEvent
from eventuary.migration.both import both
from eventuary.migration.digest import NOTHING, chained, contents
from eventuary.migration.progress import Progress, Report

#: Differences that are named, at most.
MOST_NAMED = 20

#: Characters of a value that are shown.
_MOST_SHOWN = 60


class Compared(msgspec.Struct, frozen=True):
    """The outcome, up to ``position``: no differences, and the logs have this digest there."""

    position: int
    digest: bytes
    #: Events that were compared.
    events: int
    differences: list[str]


async def compare_events(
    source: Stored,
    target: Stored,
    until: int,
    report: Report,
    *,
    after: int = 0,
    digest: bytes = NOTHING,
) -> Compared:
    """Compare all events after ``after``, where the logs have ``digest``, up to ``until``."""
    differences: list[str] = []
    done = 0
    while after < until and len(differences) < MOST_NAMED:
        report(Progress("comparing", done, until - after))
        expected, found = await both(
            source.read_events(after, until), target.read_events(after, until)
        )
        # Pages may end at different positions: the longer one waits for the next round.
        ends = [page[-1].position for page in (expected, found) if page]
        end = min(ends) if len(ends) == 2 else until
        expected = [event for event in expected if event.position <= end]
        found = [event for event in found if event.position <= end]
        its = await asyncio.to_thread(chained, digest, expected)
        digest = await asyncio.to_thread(chained, digest, found)
        if its != digest:
            differences += _name(expected, found)
            digest = its
        if not ends:
            break
        done += len(expected)
        after = end
    report(Progress("comparing", done, 0))
    return Compared(until, digest, done, differences[:MOST_NAMED])


def _name(expected: list[LogEvent], found: list[LogEvent]) -> list[str]:
    theirs = {event.position: event for event in found}
    named = []
    for event in expected:
        other = theirs.pop(event.position, None)
        if other is None:
            named.append(f"position {event.position}: event {event.event_id} is not in TARGET")
            continue
        of_source, of_target = contents(event), contents(other)
        named += [
            f"position {event.position}: {name} is {_short(of_source[name])} in SOURCE, "
            f"{_short(of_target[name])} in TARGET"
            for name in of_source
            if of_source[name] != of_target[name]
        ]
    named += [
        f"position {event.position}: event {event.event_id} is not in SOURCE"
        for event in theirs.values()
    ]
    return named


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}… ({len(text)} characters)"
