"""Reading a partition of the log: in chunks that all subscribers share, filtered here.

A chunk is read whole, whatever spaces and types are in it, so that any number of subscribers who
are at the same place read the cluster once.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import msgspec

from eventuary.engines.engine import LogPage, LogQuery
from eventuary.engines.jetstream.api import NotYet, Refused, direct_get, persevere
from eventuary.engines.jetstream.catalogue import Catalogue
from eventuary.engines.jetstream.entities import Entities
from eventuary.engines.jetstream.messages import Reading, decode
from eventuary.engines.jetstream.partitions import Partition
from eventuary.engines.jetstream.wire import Wire
from eventuary.errors import ServiceUnavailable
from eventuary.events import EventType, LogEvent

#: Sequences of one chunk.
CHUNK = 512

#: Chunks that are kept, and characters of event data in them.
_MOST_CHUNKS = 64
_MOST_CHARACTERS = 32 * 1024 * 1024


class _Chunk(msgspec.Struct, frozen=True):
    events: list[LogEvent]
    characters: int


class Log:
    """Reads stretches of a partition that are known to be there."""

    def __init__(
        self, wire: Wire, partition: Partition, catalogue: Catalogue, entities: Entities
    ) -> None:
        self._wire = wire
        self._partition = partition
        self._catalogue = catalogue
        self._entities = entities
        self._reading = Reading(partition)
        self._chunks: OrderedDict[int, _Chunk] = OrderedDict()
        self._characters = 0

    async def stretch(self, first: int, last: int) -> list[LogEvent]:
        """Read all events of these sequences, both included; ``last`` is in the log."""
        events: list[LogEvent] = []
        while first <= last:
            part = await self._read(first, last)
            events += part
            first += len(part)
        return events

    async def learn_names(self) -> None:
        """Learn names that occur in events which were passed over, or are not told by them."""
        await self._catalogue.load()

    async def page(self, query: LogQuery, head: int) -> LogPage:
        """Return the page that a query asks for, of a partition that reaches up to ``head``."""
        chosen: list[LogEvent] = []
        size = 0
        start, until = self._span(query, head)
        while start <= until:
            number, events = await self._chunk_at(start, until)
            for event in self._select(events, query, until):
                size += len(event.event_data) + len(event.metadata or "")
                if chosen and (len(chosen) == query.limit or size > query.max_bytes):
                    return LogPage(chosen, chosen[-1].position)
                chosen.append(event)
            start = number * CHUNK + CHUNK + 1
        return LogPage(chosen, max(self._partition.position(until), query.after))

    async def count(self, query: LogQuery, head: int, cap: int) -> int:
        """Count what a query selects; stop at ``cap``."""
        found = 0
        start, until = self._span(query, head)
        while start <= until and found < cap:
            number, events = await self._chunk_at(start, until)
            found += sum(1 for _ in self._select(events, query, until))
            start = number * CHUNK + CHUNK + 1
        return min(found, cap)

    def _span(self, query: LogQuery, head: int) -> tuple[int, int]:
        """Return the first and the last sequence that a query is about."""
        until = head if query.until is None else min(head, self._partition.sequence(query.until))
        return self._partition.sequence(query.after) + 1, until

    def _select(
        self, events: Sequence[LogEvent], query: LogQuery, until: int
    ) -> Iterator[LogEvent]:
        after, through = query.after, self._partition.position(until)
        space, types = query.space, query.types
        entity_types, event_types = query.entity_types, query.event_types
        swimlanes = query.swimlanes
        for event in events:
            if (
                event.space == space
                and after < event.position <= through
                and (types is None or (event.entity_type, event.event_type) in types)
                and (entity_types is None or event.entity_type in entity_types)
                and (event_types is None or event.event_type in event_types)
                and (swimlanes is None or event.swimlane in swimlanes)
            ):
                yield event

    async def _chunk_at(self, sequence: int, until: int) -> tuple[int, Sequence[LogEvent]]:
        """Return the number of a sequence's chunk, and its events from there to ``until``."""
        number = (sequence - 1) // CHUNK
        known = self._chunks.get(number)
        if known is not None:
            self._chunks.move_to_end(number)
            return number, known.events
        end = (number + 1) * CHUNK
        if end > until:
            return number, await self.stretch(sequence, until)  # it still grows
        events = await self.stretch(number * CHUNK + 1, end)
        self._keep(number, events)
        return number, events

    def _keep(self, number: int, events: list[LogEvent]) -> None:
        characters = sum(len(each.event_data) + len(each.metadata or "") for each in events)
        if number in self._chunks or characters > _MOST_CHARACTERS:
            return
        self._chunks[number] = _Chunk(events, characters)
        self._characters += characters
        while len(self._chunks) > _MOST_CHUNKS or self._characters > _MOST_CHARACTERS:
            _, gone = self._chunks.popitem(last=False)
            self._characters -= gone.characters

    async def _read(self, first: int, last: int) -> list[LogEvent]:
        """Read events from the sequence ``first`` on, one at least."""
        stream = self._partition.stream

        async def attempt() -> list[LogEvent]:
            stretch = await direct_get(
                self._wire, stream, {"seq": first, "batch": last - first + 1}
            )
            messages = stretch.messages
            if not messages:
                raise NotYet("a replica is behind")
            events = []
            for sequence, message in enumerate(messages, first):
                if message.sequence != sequence:
                    raise ServiceUnavailable(
                        f"storage: message {sequence} is not in the stream {stream!r}, though "
                        f"{message.sequence} is: the cluster has lost events"
                    )
                stored = decode(message.data)
                space = self._reading.space_of(message, stored)
                swimlanes = await self._catalogue.learn_space(space)
                event = self._reading.log_event(message, stored, swimlanes)
                self._catalogue.note(space, EventType(event.entity_type, event.event_type))
                self._entities.saw(message, stored)
                events.append(event)
            return events

        try:
            return await persevere(self._wire, attempt)
        except Refused as error:
            raise ServiceUnavailable(f"storage: {error}") from error
