"""All that a store holds, as its engine shows it to a server: what two alike stores share.

It knows nothing of migrations, so that it can judge them.
"""

import asyncio
from typing import NamedTuple

from eventuary.engines.engine import (
    DeadLetterRecord,
    Engine,
    KeyRecord,
    LogQuery,
    SubscriptionRecord,
)
from eventuary.events import Entity, EventType, LogEvent
from tests.migration.filling import started


class Contents(NamedTuple):
    """What is in a store."""

    head: int
    events: dict[str, list[LogEvent]]
    event_types: dict[str, list[EventType]]
    swimlanes: dict[str, int]
    entities: dict[tuple[str, str, str], Entity]
    subscriptions: list[SubscriptionRecord]
    dead_letters: list[DeadLetterRecord]
    keys: list[KeyRecord]


SPACES = ("default", "narrow", "without events", "new space", "nowhere")


async def look(url: str) -> Contents:
    """Start an engine over a store that nobody serves, and read all of it."""
    async with started(url, swimlanes=5) as engine:
        events = {space: await _log(engine, space) for space in SPACES}
        names = {
            (event.space, event.entity_type, event.entity_id)
            for log in events.values()
            for event in log
        }
        subscriptions = await engine.load_subscriptions(None)
        return Contents(
            engine.head,
            events,
            {space: engine.event_types(space) for space in SPACES},
            {space: engine.swimlanes(space) for space in SPACES},
            {name: await engine.load(*name, None) for name in sorted(names)},
            subscriptions,
            [
                letter
                for each in subscriptions
                for letter in await engine.load_dead_letters(each.space, each.subscriber_id)
            ],
            await asyncio.to_thread(engine.keys.list_keys),
        )


async def _log(engine: Engine, space: str) -> list[LogEvent]:
    events: list[LogEvent] = []
    position = 0
    while position < engine.head:
        page = await engine.read_log(LogQuery(space, position))
        events += page.events
        position = page.position
    return events
