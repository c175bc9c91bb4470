"""A group of appends as the arguments of `append_group`, and what becomes of each by its answer.

The database decides which appends are done (migrations/0001_event_log.sql). Here the same checks
run once more over what the database has found, to tell those that were refused why. Knows nothing
of connections or futures.
"""

from collections.abc import Sequence

import msgspec

from eventuary.engines.postgres.catalogue import Catalogue
from eventuary.engines.postgres.event_ids import EventIds
from eventuary.engines.postgres.grouping import Single, Work, appends_of
from eventuary.errors import (
    Conflict,
    DuplicateEvent,
    EntityExists,
    EventuaryError,
    NotFound,
    OptimisticLockError,
)
from eventuary.events import Append, Appended, EventType, LogEvent
from eventuary.swimlanes import swimlane_of

_Entity = tuple[str, int]  # entity id, entity type number
_Outcome = Appended | EventuaryError


class Answer(msgspec.Struct, frozen=True):
    """What `append_group` returned."""

    #: The position of the last event before the group.
    before: int
    #: Numbers of appends that were not done; None: all were.
    refused: list[int] | None
    #: Of each append that was checked: the version before the group, and whether its trigger had
    #: been applied. None when none was refused.
    versions: list[str | None] | None
    applied: list[bool] | None


class _Proposed:
    __slots__ = (
        "append",
        "call",
        "entity_id",
        "event_ids",
        "index",
        "numbers",
        "swimlane",
        "type_no",
    )

    def __init__(self, append: Append, index: int, call: int | None) -> None:
        self.append = append
        #: Where it stands among all appends of the group.
        self.index = index
        self.call = call
        self.entity_id = ""
        self.type_no = 0
        self.swimlane = 0
        self.event_ids: list[str] = []
        self.numbers: list[int] = []


class Proposal:
    """One group, with its ids. ``refusals``: appends that are refused unseen.

    Their keys, as everywhere here, are the places among all appends of the group.
    """

    def __init__(
        self,
        group: Sequence[Work],
        refusals: dict[int, EventuaryError],
        catalogue: Catalogue,
        ids: EventIds,
    ) -> None:
        self._group = group
        self._catalogue = catalogue
        self._refusals = refusals
        self._proposed: list[_Proposed] = []
        start = 0
        for call, work in enumerate(group):
            atomic = not isinstance(work, Single) and work.atomic
            appends = appends_of(work)
            places = range(start, start + len(appends))
            start = places.stop
            # A refusal known beforehand is that of the whole atomic call.
            if atomic and not refusals.keys().isdisjoint(places):
                continue
            for index, append in zip(places, appends, strict=True):
                if index not in refusals:
                    self._propose(_Proposed(append, index, call if atomic else None), ids)

    def __bool__(self) -> bool:
        return bool(self._proposed)

    def _propose(self, proposed: _Proposed, ids: EventIds) -> None:
        append = proposed.append
        space = self._catalogue.spaces[append.space]
        proposed.type_no = space.entity_types[append.entity_type]
        next_id = ids.next_id
        proposed.entity_id = append.entity_id if append.entity_id is not None else next_id()
        proposed.swimlane = swimlane_of(append.entity_type, proposed.entity_id, space.swimlanes)
        numbers = space.event_types
        entity_type = append.entity_type
        for event in append.events:
            # A plain tuple finds what a named one has stored, and is made faster.
            proposed.numbers.append(numbers[(entity_type, event.event_type)])  # type: ignore[index]  # equal to an EventType
            proposed.event_ids.append(next_id())
        self._proposed.append(proposed)

    def arguments(self, server_no: int) -> list[object]:
        """Return the arguments of `append_group`."""
        checked: tuple[list[object], ...] = ([], [], [], [], [])
        calls: tuple[list[object], ...] = ([], [])
        events: tuple[list[object], ...] = ([], [], [], [], [], [], [], [], [])
        snapshots: tuple[list[object], ...] = ([], [], [], [], [], [])
        new_types: set[int] = set()
        occurs = self._catalogue.occurs
        for no, each in enumerate(self._proposed):
            append = each.append
            if append.entity_id is not None:
                row: tuple[object, ...] = (
                    no,
                    each.type_no,
                    each.entity_id,
                    append.expected_version,
                    append.triggering_event_token,
                )
                _add(checked, row)
            if each.call is not None:
                _add(calls, (no, each.call))
            for event, number, event_id in zip(
                append.events, each.numbers, each.event_ids, strict=True
            ):
                row = (
                    no,
                    each.type_no,
                    each.entity_id,
                    number,
                    each.swimlane,
                    event_id,
                    append.triggering_event_token,
                    event.event_data.encode(),
                    None if event.metadata is None else event.metadata.encode(),
                )
                _add(events, row)
                if not occurs(number):
                    new_types.add(number)
            if append.snapshot is not None:
                row = (
                    no,
                    each.type_no,
                    each.entity_id,
                    each.event_ids[-1],
                    append.snapshot.snapshot_type.encode(),
                    append.snapshot.json.encode(),
                )
                _add(snapshots, row)
        return [server_no, *checked, *calls, *events, *snapshots, list(new_types)]

    def first_events(self) -> tuple[list[int], list[str], list[str]]:
        """Return type number, entity id and id of the first event of each append."""
        return (
            [each.type_no for each in self._proposed],
            [each.entity_id for each in self._proposed],
            [each.event_ids[0] for each in self._proposed],
        )

    def conclude(self, answer: Answer) -> tuple[list[LogEvent], list[list[_Outcome]]]:
        """Return the group's events as the log has them, and the outcomes of each work's appends.

        Notes in the catalogue what occurs by now.
        """
        events: list[LogEvent] = []
        outcomes: dict[int, _Outcome] = dict(self._refusals)
        reasons = self._reasons(answer) if answer.refused is not None else {}
        position = answer.before
        for no, each in enumerate(self._proposed):
            if no in reasons:
                outcomes[each.index] = reasons[no]
                continue
            position = self._log(each, position, events)
            outcomes[each.index] = Appended(each.entity_id, each.event_ids[-1], each.event_ids)
        return events, self._by_work(outcomes)

    def refuse(self, error: EventuaryError) -> list[list[_Outcome]]:
        """Return the outcomes when nothing of the group was written, for one reason."""
        outcomes: dict[int, _Outcome] = dict(self._refusals)
        outcomes.update((each.index, error) for each in self._proposed)
        return self._by_work(outcomes)

    def found(self, there: Sequence[bool], otherwise: EventuaryError) -> list[list[_Outcome]]:
        """Return the outcomes by which first events are ``there``, when no answer had come."""
        outcomes: dict[int, _Outcome] = dict(self._refusals)
        for each, done in zip(self._proposed, there, strict=True):
            outcomes[each.index] = (
                Appended(each.entity_id, each.event_ids[-1], each.event_ids) if done else otherwise
            )
        return self._by_work(outcomes)

    def _by_work(self, outcomes: dict[int, _Outcome]) -> list[list[_Outcome]]:
        by_work: list[list[_Outcome]] = []
        start = 0
        for work in self._group:
            places = range(start, start + len(appends_of(work)))
            start = places.stop
            by_work.append([outcomes.get(index) or _dragged_down() for index in places])
        return by_work

    def _log(self, each: _Proposed, position: int, events: list[LogEvent]) -> int:
        append = each.append
        note = self._catalogue.note
        for event, number, event_id in zip(
            append.events, each.numbers, each.event_ids, strict=True
        ):
            position += 1
            note(number)
            events.append(
                LogEvent(
                    position,
                    event_id,
                    append.space,
                    append.entity_type,
                    each.entity_id,
                    event.event_type,
                    event.event_data,
                    event.metadata,
                    each.swimlane,
                    append.triggering_event_token,
                )
            )
        return position

    def _reasons(self, answer: Answer) -> dict[int, EventuaryError]:
        """Return why each refused append was refused: the checks, one append after the other."""
        refused = set(answer.refused or ())
        versions: dict[_Entity, str | None] = {}
        applied: set[tuple[str, str, int]] = set()
        checked = [each for each in self._proposed if each.append.entity_id is not None]
        for each, version, done in zip(
            checked, answer.versions or (), answer.applied or (), strict=True
        ):
            versions[(each.entity_id, each.type_no)] = version
            token = each.append.triggering_event_token
            if token is not None and done:
                applied.add((token, each.entity_id, each.type_no))
        reasons: dict[int, EventuaryError] = {}
        for no, each in enumerate(self._proposed):
            append = each.append
            entity = (each.entity_id, each.type_no)
            token = append.triggering_event_token
            version = versions.get(entity)
            if no in refused:
                reason = refusal(
                    append, version, applied=token is not None and (token, *entity) in applied
                )
                reasons[no] = reason or _dragged_down()
                if reason is not None or each.call is None:
                    continue
            # Done; or of a refused atomic call, whose further appends see it as if it were: nobody
            # else in the group touches its entities.
            versions[entity] = each.event_ids[-1]
            if token is not None:
                applied.add((token, *entity))
        return reasons


def refusal(append: Append, version: str | None, *, applied: bool) -> EventuaryError | None:
    """Return why an append is refused, of an entity at ``version`` (None: it does not exist)."""
    name = f"{append.entity_type} {append.entity_id!r}"
    if append.expected_version is None:
        return None if version is None else EntityExists(f"entityId: {name} exists already")
    if version is None:
        return NotFound(f"{name} does not exist in space {append.space!r}")
    if applied:
        token = append.triggering_event_token
        return DuplicateEvent(f"triggeringEventToken: {token!r} was already applied to {name}")
    if version != append.expected_version:
        return OptimisticLockError(
            f"entityVersion: {name} is at version {version}, "
            f"not at {append.expected_version}: load it again"
        )
    return None


def missing_names(append: Append, catalogue: Catalogue) -> list[tuple[str, EventType]]:
    """Return the event types of an append that are to be registered first."""
    space = catalogue.spaces.get(append.space)
    known = space.event_types if space is not None else {}
    entity_type = append.entity_type
    return [
        (append.space, EventType(entity_type, event.event_type))
        for event in append.events
        if (entity_type, event.event_type) not in known
    ]


def _dragged_down() -> Conflict:
    return Conflict("not appended: another append of this atomic call was refused")


def _add(columns: tuple[list[object], ...], row: tuple[object, ...]) -> None:
    for column, value in zip(columns, row, strict=True):
        column.append(value)
