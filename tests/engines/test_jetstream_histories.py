"""Histories that were read are kept, and never taken for all there is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from eventuary.engines.engine import Engine
from eventuary.engines.jetstream.api import Refused, call, persevere
from eventuary.engines.jetstream.engine import JetStreamEngine
from eventuary.engines.jetstream.histories import Histories, Placed
from eventuary.engines.jetstream.messages import StoredEvent
from eventuary.errors import OptimisticLockError, ServiceUnavailable
from eventuary.events import Entity, NewEvent
from tests.engines.contract import ORDER, creation, update
from tests.engines.waiting import DEADLINE
from tests.nats.engines import started


def placed(*sequences: int, data: str = "") -> list[Placed]:
    return [
        (each, StoredEvent(f"id-{each}", "E", data, None, None, False, None)) for each in sequences
    ]


def test_what_is_kept_is_behind_a_sequence() -> None:
    histories = Histories()
    histories.keep("a", 0, placed(3, 5, 9))
    assert histories.behind("a", 0) == placed(3, 5, 9)
    assert histories.behind("a", 3) == placed(5, 9)
    assert histories.behind("a", 9) == []
    assert histories.behind("b", 0) == []


def test_what_begins_later_does_not_tell_what_was_before() -> None:
    histories = Histories()
    histories.keep("a", 3, placed(5, 9))
    assert histories.behind("a", 0) == []
    assert histories.behind("a", 3) == placed(5, 9)
    histories.keep("a", 0, placed(3, 5, 9))
    assert histories.behind("a", 0) == placed(3, 5, 9)


def test_older_reads_replace_nothing() -> None:
    histories = Histories()
    histories.keep("a", 0, placed(3, 5))
    histories.keep("a", 0, placed(3))
    histories.keep("a", 3, placed(5))
    histories.keep("a", 0, [])
    assert histories.behind("a", 0) == placed(3, 5)


def test_those_that_were_used_longest_ago_leave() -> None:
    histories = Histories(most_characters=10_000)
    for name in "abcd":
        histories.keep(name, 0, placed(1, data="x" * 2_000))
    assert histories.behind("a", 0)
    histories.keep("e", 0, placed(1, data="x" * 2_000))
    assert [name for name in "abcde" if histories.behind(name, 0)] == ["a", "c", "d", "e"]


def test_one_that_would_push_out_many_is_not_kept() -> None:
    histories = Histories(most_characters=10_000)
    histories.keep("a", 0, placed(1))
    histories.keep("b", 0, placed(1, data="x" * 3_000))
    assert histories.behind("b", 0) == []
    assert histories.behind("a", 0)


def test_what_is_forgotten_makes_room() -> None:
    histories = Histories(most_characters=10_000)
    for _ in range(20):
        histories.keep("a", 0, placed(1, data="x" * 2_000))
        histories.forget("a")
    histories.forget("a")
    for name in "abcd":
        histories.keep(name, 0, placed(1, data="x" * 2_000))
    assert all(histories.behind(name, 0) for name in "abcd")


# ── In engines ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def engine(nats_url: str) -> AsyncIterator[Engine]:
    async with started(nats_url) as engine:
        yield engine


@pytest.fixture
async def other(nats_url: str, engine: Engine) -> AsyncIterator[Engine]:
    async with started(nats_url) as other:
        yield other


async def test_what_another_server_has_appended_is_found_behind_what_is_kept(
    engine: Engine, other: Engine
) -> None:
    appended = await engine.append(creation(NewEvent("E", "0"), NewEvent("E", "1")))
    expected = ["0", "1"]
    for number in range(2, 30):
        loaded = await engine.load("default", ORDER, appended.entity_id, None)
        assert [each.event_data for each in loaded.events] == expected
        again = await engine.load("default", ORDER, appended.entity_id, None)
        assert again == loaded
        event = NewEvent("E", str(number))
        await other.append(update(appended, event, version=loaded.events[-1].id))
        expected.append(event.event_data)


async def test_a_refused_append_is_not_found(engine: Engine, other: Engine) -> None:
    appended = await engine.append(creation(NewEvent("E", "0")))
    await engine.load("default", ORDER, appended.entity_id, None)
    await other.append(update(appended, NewEvent("E", "1")))
    with pytest.raises(OptimisticLockError):
        await engine.append(update(appended, NewEvent("E", "refused")))
    loaded = await engine.load("default", ORDER, appended.entity_id, None)
    assert [each.event_data for each in loaded.events] == ["0", "1"]


async def test_events_of_a_log_that_is_gone_are_not_told(engine: Engine, nats_url: str) -> None:
    """It must not be; but if somebody deletes it, memory is no place where events live on."""
    assert isinstance(engine, JetStreamEngine)
    appended = await engine.append(creation(NewEvent("E", "0")))
    loaded = await engine.load("default", ORDER, appended.entity_id, None)
    assert [each.event_data for each in loaded.events] == ["0"]
    stream = engine._partitions[0].stream

    async def delete() -> None:
        with contextlib.suppress(Refused):  # an answer was lost, and it is deleted
            await call(engine._wire, f"STREAM.DELETE.{stream}")

    await persevere(engine._wire, delete)
    async with started(nats_url):  # which makes another one
        async with asyncio.timeout(DEADLINE):
            # What it believes of the old one's leader has to end first, if that took long.
            while True:
                with contextlib.suppress(ServiceUnavailable):
                    loaded = await engine.load("default", ORDER, appended.entity_id, None)
                    break
        assert loaded == Entity([])
