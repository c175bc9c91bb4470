"""What is copied, between each pair of engines; what is refused; what a comparison finds."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from eventuary.engines.engine import SwimlanePosition
from eventuary.engines.storing import open_stored, open_target
from eventuary.errors import ConfigurationError, DuplicateEvent, OptimisticLockError
from eventuary.events import Append
from eventuary.migration.migrating import Outcome, migrate, verify
from eventuary.migration.progress import Progress
from tests.migration.conftest import Pair
from tests.migration.filling import APPROVED, CREATED, ORDER, change, fill, grow, started, version
from tests.migration.looking import look

#: More pages than there are: the migration is killed when it has copied all events.
_ALL = 1_000

#: Seconds; a process that has not ended by then never will.
_PATIENCE = 60.0


async def copy(source_url: str, target_url: str, *, clone: bool = False) -> Outcome:
    """Run a migration as the command does."""
    source, target = open_stored(source_url, "SOURCE"), open_target(target_url, "TARGET")
    try:
        await source.open()
        await target.open()
        return await migrate(source, target, clone=clone, report=lambda _: None)
    finally:
        await target.close()
        await source.close()


async def compare(source_url: str, target_url: str) -> Outcome:
    """Compare two stores as the command does."""
    source, target = open_stored(source_url, "SOURCE"), open_stored(target_url, "TARGET")
    try:
        await source.open()
        await target.open()
        return await verify(source, target, report=lambda _: None)
    finally:
        await target.close()
        await source.close()


async def test_everything_is_copied_and_goes_on(pair: Pair) -> None:
    await fill(pair.source)
    outcome = await copy(*pair)
    assert (outcome.differences, outcome.served_by) == ([], None)
    expected, found = await look(pair.source), await look(pair.target)
    assert found == expected
    assert outcome.copied == outcome.position == expected.head > 180
    assert expected.swimlanes == {
        "default": 8,
        "narrow": 3,
        "without events": 8,
        "new space": 5,
        "nowhere": 5,
    }
    assert len(expected.subscriptions) == 4
    assert len(expected.dead_letters) == len(expected.keys) == 2
    async with started(pair.target) as engine:
        current = await version(engine, "order-7")
        stale = Append("default", ORDER, "order-7", "0" * 16 + "-" + "0" * 16, [APPROVED])
        with pytest.raises(OptimisticLockError):
            await engine.append(stale)
        repeated = Append("default", ORDER, "order-7", current, [APPROVED], "trigger-7")
        with pytest.raises(DuplicateEvent):
            await engine.append(repeated)
        appended = await engine.append(Append("default", ORDER, "order-7", current, [APPROVED]))
        assert appended.entity_version > current
        assert engine.head == expected.head + 1
    # The source is as it was, and may be served again.
    assert await look(pair.source) == expected


async def test_what_has_changed_since_is_copied_too(pair: Pair) -> None:
    await fill(pair.source)
    async with started(pair.source):
        outcome = await copy(*pair)
        assert outcome.differences == []
        assert str(os.getpid()) in str(outcome.served_by)
        with pytest.raises(ConfigurationError, match="not finished"):
            await look(pair.target)
    await change(pair.source)
    async with started(pair.source):
        outcome = await copy(*pair)
        assert outcome.differences == []
        assert outcome.copied == 20 * 3 + 2
        assert outcome.served_by is not None
    outcome = await copy(*pair)
    assert (outcome.copied, outcome.differences, outcome.served_by) == (0, [], None)
    assert await look(pair.target) == await look(pair.source)


async def test_it_goes_on_from_wherever_it_was_killed(pair: Pair) -> None:
    await fill(pair.source)
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    heads = [0]
    for pages in (0, 1, 2, 3, _ALL, _ALL):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.migration.killed", *pair, str(pages), str(chance.randrange(12))),
        )
        assert await asyncio.wait_for(process.wait(), _PATIENCE) == -signal.SIGKILL
        with pytest.raises(ConfigurationError, match=r"not finished|no store|no database"):
            await _check_served(pair.target)
        heads.append(await _head(pair.target))
    assert heads == sorted(heads), f"seed {seed}"
    assert heads[1] < heads[4] < heads[5] == heads[6], f"seed {seed}"
    outcome = await copy(*pair)
    assert (outcome.differences, outcome.served_by) == ([], None), f"seed {seed}"
    assert outcome.copied == outcome.position - heads[-1]
    assert await look(pair.target) == await look(pair.source), f"seed {seed}"


async def _check_served(url: str) -> None:
    """Try to serve a store; one that is not there is left alone, and refused."""
    stored = open_stored(url, "TARGET")
    try:
        await stored.open()
    finally:
        await stored.close()
    async with started(url):
        return


async def _head(url: str) -> int:
    stored = open_stored(url, "TARGET")
    try:
        await stored.open()
        return await stored.head()
    finally:
        await stored.close()


async def test_a_second_run_after_the_last_one_compares(pair: Pair) -> None:
    await fill(pair.source)
    await copy(*pair)
    again = await copy(*pair)
    assert again.was_finished
    assert again.differences == []
    async with started(pair.target) as engine:
        await grow(engine, 1, name="served")
        await engine.store_positions([SwimlanePosition("default", "view", 0, 40)])
    served = await compare(*pair)
    head = served.position
    assert served.differences[:3] == [
        f"position {head + n}: event {each} is not in SOURCE"
        for n, each in enumerate(await _ids_after(pair.target, head), start=1)
    ]
    assert any("subscription default view" in each for each in served.differences)
    with pytest.raises(ConfigurationError, match=rf"no copy of SOURCE: at position {head + 3}"):
        await copy(*pair)


async def _ids_after(url: str, position: int) -> list[str]:
    stored = open_stored(url, "TARGET")
    try:
        await stored.open()
        return [e.event_id for e in await stored.read_events(position, await stored.head())]
    finally:
        await stored.close()


async def test_a_clone_may_be_served_beside_its_source(pair: Pair) -> None:
    await fill(pair.source)
    async with started(pair.source) as engine:
        outcome = await copy(*pair, clone=True)
        assert (outcome.differences, outcome.served_by) == ([], None)
        async with started(pair.target) as copied:
            assert copied.head == engine.head


async def test_what_holds_something_else_is_no_target(pair: Pair) -> None:
    await fill(pair.source)
    async with started(pair.target) as engine:
        await engine.append(Append("default", ORDER, "another", None, [CREATED]))
    with pytest.raises(ConfigurationError, match="holds 1 event and is no copy of SOURCE"):
        await copy(*pair)
    assert len((await look(pair.target)).events["default"]) == 1


async def test_a_store_that_is_served_is_no_target(pair: Pair) -> None:
    await fill(pair.source)
    async with started(pair.target):
        with pytest.raises(ConfigurationError, match=r"is served|held by another server"):
            await copy(*pair)


async def test_a_copy_of_another_store_is_no_target(pair: Pair, tmp_path: Path) -> None:
    await fill(pair.source)
    other = f"sqlite:{tmp_path / 'other.db'}"
    await fill(other)
    async with started(other):
        assert (await copy(other, pair.target)).served_by is not None
    with pytest.raises(ConfigurationError, match="is no copy of SOURCE: at position"):
        await copy(*pair)


async def test_an_unfinished_copy_is_no_source(pair: Pair, tmp_path: Path) -> None:
    await fill(pair.source)
    async with started(pair.source):
        await copy(*pair)
    with pytest.raises(ConfigurationError, match=r"its own migration from .* is not finished"):
        await copy(pair.target, f"sqlite:{tmp_path / 'third.db'}")


async def test_a_backup_is_copied_and_stays_as_it_is(tmp_path: Path) -> None:
    await fill(f"sqlite:{tmp_path / 'served.db'}")
    backup = tmp_path / "backup.db"
    with contextlib.closing(sqlite3.connect(tmp_path / "served.db")) as database:
        database.execute("VACUUM INTO ?", [str(backup)])
    before = backup.read_bytes()
    outcome = await copy(f"sqlite:{backup}", f"sqlite:{tmp_path / 'target.db'}")
    assert (outcome.position, outcome.differences, outcome.served_by) == (188, [], None)
    assert backup.read_bytes() == before


async def test_an_empty_store_is_copied(pair: Pair) -> None:
    async with started(pair.source):
        pass
    outcome = await copy(*pair)
    assert (outcome.position, outcome.differences, outcome.served_by) == (0, [], None)
    assert await look(pair.target) == await look(pair.source)


async def test_differences_are_named(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    await fill(f"sqlite:{source}")
    await copy(f"sqlite:{source}", f"sqlite:{target}")
    database = sqlite3.connect(target)
    before = [row[0] for row in database.execute("SELECT event_id FROM events ORDER BY position")]
    database.executescript("""
        UPDATE events SET event_data = '{"total":"99"}' WHERE position = 3;
        DELETE FROM events WHERE position = 5;
        UPDATE events SET triggering_event_token = NULL WHERE position = 7;
        UPDATE snapshots SET json = 'other' WHERE entity_id = 'order-8';
        DELETE FROM snapshots WHERE entity_id = 'order-12';
        UPDATE swimlane_positions SET position = 18 WHERE position = 17;
        DELETE FROM dead_letters WHERE position = 9;
        UPDATE api_keys SET secret_hash = 'other' WHERE key_id = 'ops';
        DELETE FROM api_keys WHERE key_id = 'old';
        UPDATE spaces SET swimlanes = 4 WHERE name = 'narrow';
    """)
    database.close()
    outcome = await compare(f"sqlite:{source}", f"sqlite:{target}")
    said = outcome.differences
    for expected in (
        'position 3: data is \'{"total":"12.34"}\' in SOURCE, \'{"total":"99"}\' in TARGET',
        f"position 5: event {before[4]} is not in TARGET",
        "position 7: triggering token is 'trigger-1' in SOURCE, None in TARGET",
        "snapshots: 16 in SOURCE, 15 in TARGET",
        "dead letter default view 9: is not in TARGET",
        "API key old: is not in TARGET",
        "API key ops: differs: ",
        "space narrow: differs: 3 in SOURCE, 4 in TARGET",
    ):
        assert expected in said, said
    assert sum(each.startswith("snapshot default orders.Order order-") for each in said) == 2
    assert sum(each.startswith("subscription default view: differs: pos") for each in said) == 1
    assert len(said) == 11


async def test_progress_is_told(tmp_path: Path) -> None:
    await fill(f"sqlite:{tmp_path / 'source.db'}")
    source = open_stored(f"sqlite:{tmp_path / 'source.db'}", "SOURCE")
    target = open_target(f"sqlite:{tmp_path / 'target.db'}", "TARGET")
    told: list[Progress] = []
    await source.open()
    await target.open()
    outcome = await migrate(source, target, clone=False, report=told.append)
    await target.close()
    await source.close()
    copying = [each for each in told if each.doing == "copying"]
    comparing = [each for each in told if each.doing == "comparing"]
    assert (copying[-1].done, copying[-1].left) == (outcome.position, 0)
    assert (comparing[0].done, comparing[0].left) == (0, outcome.position)
    assert (comparing[-1].done, comparing[-1].left) == (outcome.position, 0)
