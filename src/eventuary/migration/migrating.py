"""Copying a store to another engine while its servers go on; and comparing the two.

What makes it right:

- **Positions are the source's.** A target takes events at positions given, or refuses (copying.py),
  so positions of subscriptions, dead letters and clients' offsets mean the same in the target.
- **Events first, and only forward.** They never change, and readers of either engine find no new
  one below a position that they have seen. The target's head says how far the copy is, whoever was
  killed; that the event there is the source's own is checked before it goes on. No event is
  written twice: one migration alone, and no server, has the target, and what is written of a page
  when it is killed is its beginning.
- **All else as of one moment.** Spaces, snapshots, subscriptions, dead letters and keys change.
  They are read in one transaction of the source, in which the last events are copied too, and what
  differs is written. So the target is what the source was at that moment: no position is beyond
  the log, and none is behind events that were acknowledged by then.
- **The last moment.** Servers of the source are kept away during it, if none is there; then nothing
  changes any more, and the target may be served. If one is there, the target may not, as it would
  be another log from there on: the same command copies the rest when they have stopped.
- **Compared, not believed.** Events are read again from both disks; how far they were found the
  same is remembered, so that the last run has only the rest to compare. All else is compared in the
  moment in which it was written.

Nothing is written to the source.
"""

import msgspec

from eventuary.engines.copying import Changes, Stored, Target
from eventuary.errors import ConfigurationError
from eventuary.events import LogEvent
from eventuary.migration.both import both
from eventuary.migration.comparing import compare_events
from eventuary.migration.digest import NOTHING
from eventuary.migration.progress import Progress, Report
from eventuary.migration.state import copy_state, state_differences

#: The moment begins when so few events are left, or after so many rounds over what came meanwhile.
_FEW_EVENTS = 4_000
_MOST_ROUNDS = 20


class Outcome(msgspec.Struct, frozen=True):
    """What has become of a migration, or a comparison."""

    #: Events that this run has copied.
    copied: int
    #: The position up to which both have the same events, and the digest of the log there.
    position: int
    digest: str
    #: Numbers of what the target holds beside events, by what people call it.
    numbers: dict[str, int]
    differences: list[str]
    #: Who serves the source, because of which the target may not be served; None: it may.
    served_by: str | None = None
    #: It was finished before this run, which has compared and written nothing.
    was_finished: bool = False


async def migrate(source: Stored, target: Target, *, clone: bool, report: Report) -> Outcome:
    """Copy ``source`` to ``target``, or what is missing of it; both are open.

    ``clone``: the target may be served although the source is.
    Raises ConfigurationError when the one is no copy of the other, or can't become it.
    """
    await _check_source(source)
    marked = await target.begin(source.shown)
    await _check_beginning(source, target)
    if marked.finished_at is not None:
        return msgspec.structs.replace(
            await verify(source, target, report=report), was_finished=True
        )
    copying = _Copying(source, target, report)
    for _ in range(_MOST_ROUNDS):
        if await copying.copy_events() < _FEW_EVENTS:
            break
    served_by = await source.hold()
    async with source.moment():
        await copying.copy_events()
        head = copying.head
        differences = await copy_state(source, target)
    compared = await compare_events(
        source,
        target,
        head,
        report,
        after=marked.verified,
        digest=bytes.fromhex(marked.digest) or NOTHING,
    )
    differences += compared.differences
    digest = compared.digest.hex()
    if not differences:
        await target.note_verified(head, digest)
        if served_by is None or clone:
            await target.finish()
            served_by = None
    return Outcome(
        copied=copying.copied,
        position=head,
        digest=digest,
        numbers=await _numbers(target),
        differences=differences,
        served_by=served_by,
    )


async def verify(source: Stored, target: Stored, *, report: Report) -> Outcome:
    """Compare the two, whole; both are open, and nothing is written."""
    heads = await source.head(), await target.head()
    compared = await compare_events(source, target, max(heads), report)
    return Outcome(
        copied=0,
        position=min(heads),
        digest=compared.digest.hex(),
        numbers=await _numbers(target),
        differences=[*compared.differences, *await state_differences(source, target)],
    )


async def _check_source(source: Stored) -> None:
    """A store that is still being made is not what its servers would serve."""
    marked = await source.migration()
    if marked is not None and marked.finished_at is None:
        raise ConfigurationError(
            f"SOURCE: {source.shown}: its own migration from {marked.source} is not finished"
        )


async def _check_beginning(source: Stored, target: Target) -> None:
    """What the target has must be the source's; ids are unique, so its last event tells."""
    head = await target.head()
    there = await _event_at(target, head)
    expected = await _event_at(source, head)
    if there != expected:
        what = "nothing" if expected is None else f"event {expected.event_id}"
        found = "nothing" if there is None else f"event {there.event_id}"
        raise ConfigurationError(
            f"TARGET: {target.shown} is no copy of SOURCE: at position {head} it has {found}, and "
            f"{source.shown} has {what}: name one that is empty, or not there yet"
        )


async def _event_at(stored: Stored, position: int) -> LogEvent | None:
    events = await stored.read_events(position - 1, position)
    return events[0] if events else None


async def _numbers(stored: Stored) -> dict[str, int]:
    return {
        "events": await stored.head(),
        "spaces": len(await stored.spaces()),
        "snapshots": await stored.count_snapshots(),
        "subscriptions": len(await stored.subscriptions()),
        "dead letters": len(await stored.dead_letters()),
        "API keys": len(await stored.keys()),
    }


class _Copying:
    """Copies events, and knows how many."""

    def __init__(self, source: Stored, target: Target, report: Report) -> None:
        self._source = source
        self._target = target
        self._report = report
        self._spaces: set[str] = set()
        #: The target's head; -1: not asked yet.
        self.head = -1
        self.copied = 0

    async def copy_events(self) -> int:
        """Copy up to the source's head as it is now; returns how many events that were."""
        if self.head < 0:
            self.head = await self._target.head()
            self._spaces = set(await self._target.spaces())
        before = self.copied
        until = await self._source.head()
        page = await self._source.read_events(self.head, until)
        while page:
            await self._add_spaces({event.space for event in page})
            # The next page is read while this one is written.
            _, following = await both(
                self._target.import_events(page),
                self._source.read_events(page[-1].position, until),
            )
            self.head = page[-1].position
            self.copied += len(page)
            self._report(Progress("copying", self.copied, until - self.head))
            page = following
        return self.copied - before

    async def _add_spaces(self, names: set[str]) -> None:
        if names <= self._spaces:
            return
        known = await self._source.spaces()
        new = {name: known[name] for name in known if name not in self._spaces}
        await self._target.write(Changes(spaces=new))
        self._spaces.update(new)
