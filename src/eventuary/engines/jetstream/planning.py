"""Appends to be done in one atomic step: checked as far as is known, and made into messages.

What is known of an entity may be old. That does no harm: each entity's first message carries the
sequence that the checks relied on, and the stream refuses all when it is not the last any more.
Then the plan is made again, of what the stream's leader says.
"""

from collections.abc import Sequence

import msgspec

from eventuary.engines.jetstream.entities import NOTHING, Entities, Known
from eventuary.engines.jetstream.messages import encode
from eventuary.engines.jetstream.server_ids import ServerIds
from eventuary.engines.jetstream.triggers import followed_event, is_applied, is_doubtful
from eventuary.errors import (
    Conflict,
    DuplicateEvent,
    EntityExists,
    EventuaryError,
    NotFound,
    OptimisticLockError,
)
from eventuary.events import Append, Appended


class Item(msgspec.Struct, frozen=True, gc=False):
    """An append, its entity's id, and its subject."""

    append: Append
    entity_id: str
    subject: str

    @property
    def is_new(self) -> bool:
        """Whether its id was generated: nobody else can know it."""
        return self.append.entity_id is None


class NewMessage(msgspec.Struct, frozen=True, gc=False):
    """An event to be published. ``expected``: the sequence of its subject's last, if checked."""

    subject: str
    payload: bytes
    expected: int | None


class Plan(msgspec.Struct):
    """Either everything is refused (``refusals`` by item), or ``messages`` are to be published."""

    messages: list[NewMessage]
    outcomes: list[Appended]
    refusals: dict[int, EventuaryError]
    #: By subject: its last message's index in ``messages``, and what is known once it is stored.
    after: dict[str, tuple[int, Known]]

    def refused(self) -> list[Appended | EventuaryError]:
        """Return each item's outcome when any was refused."""
        return [
            self.refusals.get(index)
            or Conflict("not appended: another append of this atomic call was refused")
            for index in range(len(self.outcomes) + len(self.refusals))
        ]


class Planner:
    """Makes plans. ``entities`` remembers what was read."""

    def __init__(self, entities: Entities, ids: ServerIds) -> None:
        self._entities = entities
        self._ids = ids

    async def plan(self, items: Sequence[Item], *, certain: bool) -> Plan:
        """Check and encode. ``certain``: rely on nothing but what the leader says now."""
        plan = Plan([], [], {}, {})
        states: dict[str, Known] = {}
        for index, item in enumerate(items):
            state = states.get(item.subject)
            if state is None:
                state = await self._state(item, certain=certain)
            refusal = await self._refusal(item, state)
            if refusal is not None:
                plan.refusals[index] = refusal
                states[item.subject] = state
                continue
            states[item.subject] = self._take(plan, item, state)
        return plan

    async def _state(self, item: Item, *, certain: bool) -> Known:
        if item.is_new and not certain:
            return NOTHING
        known = self._entities.known(item.subject)
        expected = item.append.expected_version
        if known is not None and not certain and (expected in (None, known.version)):
            return known  # that an entity exists is never old
        if expected is None and not certain:
            return NOTHING  # most likely; the stream checks it
        return await self._entities.last(item.subject)

    async def _refusal(self, item: Item, state: Known) -> EventuaryError | None:
        append = item.append
        name = f"{append.entity_type} {item.entity_id!r}"
        exists = state.version != ""
        if append.expected_version is None:
            return EntityExists(f"entityId: {name} exists already") if exists else None
        if not exists:
            return NotFound(f"{name} does not exist in space {append.space!r}")
        token = append.triggering_event_token
        if token is not None and await is_applied(
            token, item.subject, state, self._entities, self._ids
        ):
            return DuplicateEvent(f"triggeringEventToken: {token!r} was already applied to {name}")
        if state.version != append.expected_version:
            return OptimisticLockError(
                f"entityVersion: {name} is at version {state.version}, "
                f"not at {append.expected_version}: load it again"
            )
        return None

    def _take(self, plan: Plan, item: Item, state: Known) -> Known:
        """Add an append's messages to a plan; returns its entity as it will be."""
        append = item.append
        token = append.triggering_event_token
        doubtful = state.doubtful or is_doubtful(token, self._ids)
        self._ids.follow(state.version)
        trigger = followed_event(token, self._ids)
        if trigger is not None:
            self._ids.follow(trigger)
        event_ids = [self._ids.next_id() for _ in append.events]
        # Only the first message of an entity in a batch can be checked.
        expected = state.sequence if item.subject not in plan.after else None
        for event, event_id in zip(append.events, event_ids, strict=True):
            payload = encode(event, event_id, append, item.entity_id, doubtful=doubtful)
            plan.messages.append(NewMessage(item.subject, payload, expected))
            expected = None
        tokens = state.tokens
        if tokens is not None and token is not None:
            tokens |= {token}
        known = Known(state.sequence, event_ids[-1], doubtful, tokens)
        plan.after[item.subject] = (len(plan.messages) - 1, known)
        plan.outcomes.append(Appended(item.entity_id, event_ids[-1], event_ids))
        return known
