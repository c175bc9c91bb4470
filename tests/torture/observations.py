"""What several clients saw of a few entities, and whether it can be told as one story."""

import time
from collections.abc import Sequence
from random import Random

import msgspec

from eventuary.engines.engine import Committed, Engine, LogQuery
from eventuary.events import LogEvent
from tests.linearizability.checking import check
from tests.linearizability.operations import Answer, Operation, Read, Write

#: The type of the entities, in the space ``default``.
OBSERVED = "torture.Observed"

#: Entities that are worked on at a time, and operations after which another takes an entity's
#: place: a history must be short enough to be judged.
_HOT = 4
_MOST_OPERATIONS = 250


class Seen(msgspec.Struct, frozen=True):
    """An operation, and the number of the server that it was made through."""

    server: int
    operation: Operation


class Observations:
    """All of a run."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._generations = [0] * _HOT
        self._tags: dict[str, str] = {}
        self.histories: dict[str, list[Seen]] = {}

    def choose(self) -> str:
        """Return the id of an entity to work on."""
        slot = self._chance.randrange(_HOT)
        if len(self.histories.get(f"{slot}-{self._generations[slot]}", ())) >= _MOST_OPERATIONS:
            self._generations[slot] += 1
        return f"{slot}-{self._generations[slot]}"

    def saw(self, server: int, entity_id: str, operation: Operation) -> None:
        """Note an operation."""
        self.histories.setdefault(entity_id, []).append(Seen(server, operation))

    def names(self, event_id: str, tag: str) -> None:
        """An event of this id has this tag: nobody may have seen, nor see, another."""
        assert self._tags.setdefault(event_id, tag) == tag

    def acknowledged(self, since: float, servers: Sequence[int] = (0, 1, 2)) -> list[Write]:
        """Return the appends that these servers acknowledged of those called since a time."""
        return [
            seen.operation
            for history in self.histories.values()
            for seen in history
            if seen.server in servers
            and isinstance(seen.operation, Write)
            and seen.operation.answer is Answer.DONE
            and seen.operation.called >= since
        ]

    def answered(self, server: int, since: float, until: float) -> list[Operation]:
        """Return what a server has read, or acknowledged, of what was called between two times.

        And was answered by the second.
        """
        return [
            seen.operation
            for history in self.histories.values()
            for seen in history
            if seen.server == server
            and seen.operation.called >= since
            and seen.operation.returned <= until
            and (isinstance(seen.operation, Read) or seen.operation.answer is Answer.DONE)
        ]

    @property
    def score(self) -> str:
        """What was seen, in one line."""
        writes = [
            each.operation.answer
            for history in self.histories.values()
            for each in history
            if isinstance(each.operation, Write)
        ]
        total = sum(map(len, self.histories.values()))
        return (
            f"{total} operations on {len(self.histories)} entities: {total - len(writes)} reads, "
            + ", ".join(f"{writes.count(each)} {each}" for each in Answer if each in writes)
        )

    async def judge(self, engines: Sequence[Engine], told: Sequence[Sequence[Committed]]) -> None:
        """All servers have one log of what was acknowledged, told once; each entity one story."""
        log = await _log_of(engines[0])
        assert [event.position for event in log] == list(range(1, len(log) + 1))
        assert len({event.event_id for event in log}) == len(log)
        for committed in told:
            _judge_told(committed, log)
        for entity_id, history in self.histories.items():
            logged = tuple(event.event_data for event in log if event.entity_id == entity_id)
            for server, engine in enumerate(engines):
                called = time.monotonic()
                entity = await engine.load("default", OBSERVED, entity_id, None)
                tags = tuple(event.event_data for event in entity.events)
                assert tags == logged
                history.append(
                    Seen(server, Read(called=called, returned=time.monotonic(), tags=tags or None))
                )
            check([seen.operation for seen in history])


async def _log_of(engine: Engine) -> list[LogEvent]:
    log: list[LogEvent] = []
    head = (await engine.newest_heads())[0]
    while len(log) < head:
        after = log[-1].position if log else 0
        log += (await engine.read_log(LogQuery("default", after))).events
    return log


def _judge_told(told: Sequence[Committed], log: Sequence[LogEvent]) -> None:
    """What a server has told is the log, in its order, each event once or left to be read."""
    head = 0
    for each in told:
        if each.events is not None:
            assert list(each.events) == list(log[head : each.head])
        assert each.head > head
        head = each.head
