"""A client of an engine that loads, creates and appends, and notes what became of it and when."""

import asyncio
import time
from random import Random

from eventuary.engines.engine import Engine
from eventuary.errors import (
    DuplicateEvent,
    EntityExists,
    EventuaryError,
    NotFound,
    OptimisticLockError,
    ServiceUnavailable,
)
from eventuary.events import Append, NewEvent
from tests.linearizability.operations import Answer, Read, Write
from tests.torture.observations import OBSERVED, Observations

_REFUSALS: dict[type[EventuaryError], Answer] = {
    EntityExists: Answer.EXISTS,
    NotFound: Answer.NOT_FOUND,
    OptimisticLockError: Answer.CONFLICT,
    DuplicateEvent: Answer.DUPLICATE,
}

#: Seconds that a client thinks, at most, before it calls again.
_LONGEST_THOUGHT = 0.04

#: Triggers of which one is applied to an entity now and then, and then again.
_TRIGGERS = ("first", "second")


class Observer:
    """Works until it is told to stop, by the server of this number."""

    def __init__(
        self, name: str, server: int, engine: Engine, observations: Observations, seed: str
    ) -> None:
        self._name = name
        self._server = server
        self._engine = engine
        self._observations = observations
        self._chance = Random(f"{seed}/{name}")
        self._number = 0
        #: By entity: the last event that this client knows of, by its id and its tag.
        self._known: dict[str, tuple[str, str]] = {}
        self.stopping = False

    async def read(self) -> None:
        """Load again and again, and nothing else: who appends may have to wait for long."""
        while not self.stopping:
            await self._load(self._observations.choose())
            await asyncio.sleep(self._chance.uniform(0.0, _LONGEST_THOUGHT))

    async def work(self) -> None:
        """Call again and again."""
        while not self.stopping:
            entity_id = self._observations.choose()
            if self._chance.random() < 0.8:
                await self._load(entity_id)
            if self._chance.random() < 0.6:
                await self._append(entity_id)
            await asyncio.sleep(self._chance.uniform(0.0, _LONGEST_THOUGHT))

    async def _load(self, entity_id: str) -> None:
        called = time.monotonic()
        try:
            entity = await self._engine.load("default", OBSERVED, entity_id, None)
        except ServiceUnavailable:
            return
        returned = time.monotonic()
        for event in entity.events:
            self._observations.names(event.id, event.event_data)
            self._known[entity_id] = (event.id, event.event_data)
        tags = tuple(event.event_data for event in entity.events)
        self._observations.saw(
            self._server, entity_id, Read(called=called, returned=returned, tags=tags or None)
        )

    async def _append(self, entity_id: str) -> None:
        self._number += 1
        size = self._chance.choice((1, 1, 1, 3))
        tags = tuple(f"{self._name}.{self._number}.{place}" for place in range(size))
        version, expected = self._known.get(entity_id, (None, None))
        trigger = None
        if version is not None and self._chance.random() < 0.1:
            trigger = self._chance.choice(_TRIGGERS)
        events = [NewEvent("Observed", tag) for tag in tags]
        append = Append("default", OBSERVED, entity_id, version, events, trigger)
        called = time.monotonic()
        try:
            appended = await self._engine.append(append)
        except ServiceUnavailable as error:
            if str(error).endswith("nothing was written"):
                return  # a lie would be read: as events that nobody has written
            answer = Answer.UNKNOWN
        except EventuaryError as error:
            answer = _REFUSALS[type(error)]
        else:
            answer = Answer.DONE
            for event_id, tag in zip(appended.event_ids, tags, strict=True):
                self._observations.names(event_id, tag)
            self._known[entity_id] = (appended.entity_version, tags[-1])
        self._observations.saw(
            self._server,
            entity_id,
            Write(
                called=called,
                returned=time.monotonic(),
                tags=tags,
                expected=expected,
                answer=answer,
                trigger=trigger,
            ),
        )
