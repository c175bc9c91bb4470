"""One order that readers can trust, whatever becomes of the transactions that append.

A reader that remembers the last position it has seen, and asks for what is after it, must never
miss an event that becomes visible later, and must never find a hole that it would have to judge.
"""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from eventuary.engines.engine import Committed, Engine, LogQuery
from eventuary.engines.opening import open_engine
from tests.engines.contract import creation
from tests.engines.waiting import until
from tests.postgres.by_hand import append, is_waiting, session

#: Transactions of each session, before they come round again.
_TURNS = 12


class Told:
    """Checks that news is one unbroken log. What is wrong is kept: an engine survives a listener
    that raises.
    """

    def __init__(self) -> None:
        self.head = 0
        self.entities: list[str] = []
        self.wrong: list[str] = []

    def __call__(self, committed: Committed) -> None:
        if committed.events is None:
            self.wrong.append(f"{committed.head} is told without events")
            return
        positions = [event.position for event in committed.events]
        if positions != list(range(self.head + 1, committed.head + 1)):
            self.wrong.append(f"{positions} up to {committed.head} are told behind {self.head}")
        self.head = committed.head
        self.entities += [event.entity_id for event in committed.events]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def engine(postgres_url: str, told: Told) -> AsyncIterator[Engine]:
    engine = open_engine(postgres_url)
    await engine.start(told)
    await engine.append(creation(entity_id="first"))
    yield engine
    await engine.stop()
    assert not told.wrong


async def _log(engine: Engine) -> list[str]:
    return [event.entity_id for event in (await engine.read_log(LogQuery("default", 0))).events]


async def test_a_slow_transaction_is_not_passed_over(
    engine: Engine, told: Told, postgres_url: str
) -> None:
    slow = await session(postgres_url)
    transaction = slow.transaction()
    await transaction.start()
    await append(slow, "slow", 3)
    behind = [engine.append(creation(entity_id=f"behind {n}")) for n in range(5)]
    # Readers have what there is, at once: nothing is given out that they would have to wait for.
    for _ in range(20):
        assert await _log(engine) == ["first"]
    assert not any(each.done() for each in behind)
    await transaction.commit()
    await slow.close()
    await asyncio.gather(*behind)
    expected = ["first", *["slow"] * 3, *[f"behind {n}" for n in range(5)]]
    assert await _log(engine) == told.entities == expected


async def test_a_transaction_that_is_rolled_back_leaves_no_hole(
    engine: Engine, told: Told, postgres_url: str
) -> None:
    slow = await session(postgres_url)
    transaction = slow.transaction()
    await transaction.start()
    await append(slow, "undone", 3)
    behind = engine.append(creation(entity_id="behind"))
    assert await _log(engine) == ["first"]
    await transaction.rollback()
    await behind
    assert told.entities == ["first", "behind"]
    assert engine.head == 2
    # Nor does one whose session ends in the middle.
    await slow.execute("BEGIN")
    await append(slow, "undone", 2)
    slow.terminate()
    await engine.append(creation(entity_id="last"))
    assert await _log(engine) == told.entities == ["first", "behind", "last"]


async def test_readers_see_an_unbroken_log_while_many_append(
    engine: Engine, told: Told, postgres_url: str
) -> None:
    """Six sessions append, dawdle, and commit or roll back; readers poll all the while."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    plans = [
        [
            (chance.random() < 0.6, chance.randrange(1, 4), chance.random() / 200)
            for _ in range(_TURNS)
        ]
        for _ in range(6)
    ]
    committed: list[str] = ["first"]

    async def write(number: int) -> None:
        opened = await session(postgres_url)
        for turn in itertools.count():
            # On a slow machine a reader may have looked seldom by then.
            if turn >= _TURNS and min(looks.values()) > 20:
                break
            commits, events, pause = plans[number][turn % _TURNS]
            name = f"{number}.{turn}"
            transaction = opened.transaction()
            await transaction.start()
            before = await append(opened, name, events)
            await opened.execute("SELECT pg_sleep($1)", pause)
            # This session has the turn, so that what it notes is in the order of commits.
            if commits:
                assert before == len(committed)
                committed.extend([name] * events)
                await transaction.commit()
            else:
                await transaction.rollback()
        await opened.close()

    looks = {0: 0, 1: 0}

    async def read(reader: int) -> None:
        opened = await session(postgres_url)
        seen = 0
        while not writing.done() or seen < len(committed):
            positions = [
                row[0]
                for row in await opened.fetch(
                    "SELECT position FROM events WHERE position > $1 ORDER BY position", seen
                )
            ]
            assert positions == list(range(seen + 1, seen + 1 + len(positions)))
            seen += len(positions)
            looks[reader] += 1
        await opened.close()

    async def write_all() -> None:
        await asyncio.gather(*(write(number) for number in range(len(plans))))

    writing = asyncio.create_task(write_all())
    await asyncio.gather(*map(read, looks))
    await writing
    await until(lambda: told.head == len(committed), "all is told")
    assert told.entities == committed


async def test_what_is_read_before_it_is_answered_is_told_once(
    engine: Engine, told: Told, postgres_url: str
) -> None:
    """A commit is visible before its server is told of it, and somebody may look just then."""
    appending, ahead = True, 0

    async def look() -> None:
        nonlocal ahead
        publisher: Any = engine._publisher  # type: ignore[attr-defined]  # PostgreSQL's own
        opened = await session(postgres_url)
        while appending:
            head = await opened.fetchval("SELECT max(position) FROM events")
            ahead += head > engine.head
            publisher.hint(head)
        await opened.close()

    async def append_until_it_happens() -> int:
        groups = 0
        while groups < 50 or not ahead:  # on a slow machine it is seldom
            groups += 1
            named = (creation(entity_id=f"{groups}.{number}") for number in range(3))
            await asyncio.gather(*(engine.append(each) for each in named))
        return groups

    looking = [asyncio.create_task(look()) for _ in range(2)]
    stored = 1 + 3 * await append_until_it_happens()
    appending = False
    await asyncio.gather(*looking)
    assert engine.head == told.head == stored
    assert len(set(told.entities)) == len(told.entities) == stored


async def test_without_its_turn_an_append_is_refused_and_not_passed_over(
    engine: Engine, postgres_url: str
) -> None:
    """What the turn prevents: two transactions that would give out the same positions."""
    one, two = await session(postgres_url), await session(postgres_url)
    await one.execute("CREATE OR REPLACE FUNCTION take_turn() RETURNS void LANGUAGE sql AS ''")
    transaction = one.transaction()
    await transaction.start()
    await append(one, "one")
    other = asyncio.create_task(append(two, "two"))
    await is_waiting(one, two)
    await transaction.commit()
    with pytest.raises(asyncpg.UniqueViolationError):
        await other
    await one.close()
    await two.close()
