"""Logs in a cluster, read and made by a migration: what is JetStream's own of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from nats.aio.msg import Msg

import eventuary.engines.jetstream.wire
from eventuary.engines.copying import Changes, SnapshotKey, StoredSnapshot
from eventuary.engines.engine import DeadLetterRecord, SubscriptionRecord
from eventuary.engines.jetstream.address import read_address
from eventuary.engines.jetstream.api import call, last, publish
from eventuary.engines.jetstream.cells import Cells, Change
from eventuary.engines.jetstream.copied_log import CopiedLog
from eventuary.engines.jetstream.messages import decode
from eventuary.engines.jetstream.partitions import Partition, partitions_of
from eventuary.engines.jetstream.presence import Kind, Presence, present
from eventuary.engines.jetstream.streams import last_sequence, make_streams
from eventuary.engines.jetstream.subjects import MOST_TOKEN, Subjects
from eventuary.engines.jetstream.wire import Headers, Lost, Wire
from eventuary.engines.opening import open_engine
from eventuary.engines.storing import open_stored, open_target
from eventuary.errors import ConfigurationError, DuplicateEvent, ServiceUnavailable
from eventuary.events import Append, LogEvent, NewSnapshot
from eventuary.ids import IdGenerator
from eventuary.migration.migrating import verify
from eventuary.migration.state import copy_state
from eventuary.swimlanes import swimlane_of
from eventuary.tokens import event_token
from tests.engines.contract import APPROVED, CREATED, ORDER
from tests.nats.engines import started

_ids = IdGenerator(1 << 40)


def event(
    position: int, entity_id: str = "one", token: str | None = None, event_id: str = ""
) -> LogEvent:
    lane = swimlane_of(ORDER, entity_id, 8)
    event_id = event_id or _ids.next_id()
    return LogEvent(
        position, event_id, "default", ORDER, entity_id, "OrderCreated", "{}", None, lane, token
    )


async def made(url: str, events: list[LogEvent], *, finish: bool = True) -> None:
    """Make a store that holds these events, beside those that it has."""
    target = open_target(url, "TARGET")
    try:
        await target.open()
        await target.begin("a source")
        await target.write(Changes(spaces={"default": 8}))
        await target.import_events(events)
        if finish:
            await target.finish()
    finally:
        await target.close()


@pytest.fixture
async def wire(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    """A connection to a log whose streams are made; its questions are asked once."""
    monkeypatch.setattr(eventuary.engines.jetstream.wire, "_TIMEOUT", 30.0)
    address = read_address(nats_url)
    wire = Wire(address)
    await wire.open()
    await make_streams(wire, Subjects(address.name), address)
    yield wire
    await wire.close()


@pytest.fixture
def subjects(nats_url: str) -> Subjects:
    return Subjects(read_address(nats_url).name)


def partition_of(url: str) -> Partition:
    [alone] = partitions_of(read_address(url).name, 1)
    return alone


@pytest.fixture
def partition(nats_url: str) -> Partition:
    return partition_of(nats_url)


# ── Positions ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_log_with_gaps_is_refused(nats_url: str) -> None:
    for first, after in (([event(2)], 0), ([event(1), event(3, "two")], 1)):
        with pytest.raises(
            ConfigurationError, match=rf"position {after + 2} follows {after}: JetStream leaves no"
        ):
            await made(nats_url, first)
        stored = open_stored(nats_url, "SOURCE")
        await stored.open()
        assert await stored.head() == 0
        await stored.close()


async def test_whatever_else_writes_to_the_log_is_found_out(
    nats_url: str, wire: Wire, partition: Partition
) -> None:
    target = open_target(nats_url, "TARGET")
    await target.open()
    await target.begin("a source")
    await target.write(Changes(spaces={"default": 8}))
    await target.import_events([event(1), event(2, "two")])
    await publish(wire, partition.subject("default", ORDER, "x"), b"another's", {})
    for more in ([event(3, "three")], [event(3, "three"), event(4, "four")]):
        with pytest.raises(ServiceUnavailable, match=r"position 3 is not the next .* writes to it"):
            await target.import_events(more)
    assert await last_sequence(wire, partition.stream) == 3
    await target.close()


async def test_two_who_copy_the_same_at_once_write_it_once(
    wire: Wire, partition: Partition
) -> None:
    """They can't find each other as migrations do; so the stream alone keeps them apart."""
    logs = [CopiedLog(wire, partition.stream) for _ in range(2)]
    # Each its own: if an answer is lost, one must not take the other's for what it has written.
    batches = [
        [(f"{partition.events}.s.t.{n}", b"%d of %d" % (n, number)) for n in range(700)]
        for number in range(2)
    ]
    outcomes = await asyncio.gather(
        *(log.write(batch, 0) for log, batch in zip(logs, batches, strict=True)),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes if each] == [ServiceUnavailable]
    assert await last_sequence(wire, partition.stream) == 700


class LosesAnswers(Wire):
    """What is asked on it is done, and every other answer about a message is lost."""

    _asked = 0

    async def ask(self, subject: str, payload: bytes, headers: Headers | None = None) -> Msg:
        answer = await super().ask(subject, payload, headers)
        if not subject.startswith("$JS"):
            self._asked += 1
            if self._asked % 2:
                raise Lost("no answer in time")
        return answer


@pytest.mark.parametrize("number", [1, 3, 2_100])
async def test_what_was_stored_is_not_stored_again_when_its_answer_is_lost(
    number: int, nats_url: str, wire: Wire, partition: Partition
) -> None:
    losing = LosesAnswers(read_address(nats_url))
    await losing.open()
    batch = [(f"{partition.events}.s.t.{n}", b"%d" % n) for n in range(number)]
    await CopiedLog(losing, partition.stream).write(batch, 0)
    await losing.close()
    assert await last_sequence(wire, partition.stream) == number
    newest = await last(wire, partition.stream, batch[-1][0])
    assert newest is not None
    assert (newest.sequence, newest.data) == (number, batch[-1][1])


async def test_what_another_stored_in_its_place_is_not_taken_for_it(
    nats_url: str, wire: Wire, partition: Partition
) -> None:
    batch = [(f"{partition.events}.s.t.{n}", b"ours") for n in range(3)]
    theirs = [(subject, b"theirs") for subject, _ in batch]

    class LosesQuestions(Wire):
        """The first question is lost, and another does the same meanwhile."""

        async def ask(self, subject: str, payload: bytes, headers: Headers | None = None) -> Msg:
            if not subject.startswith("$JS") and await head() == 0:
                await CopiedLog(wire, partition.stream).write(theirs, 0)
                raise Lost("no answer in time")
            return await super().ask(subject, payload, headers)

    async def head() -> int:
        return await last_sequence(wire, partition.stream)

    losing = LosesQuestions(read_address(nats_url))
    await losing.open()
    with pytest.raises(ServiceUnavailable, match="something else writes to it"):
        await CopiedLog(losing, partition.stream).write(batch, 0)
    await losing.close()
    assert await head() == 3


# ── Triggers ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_token_of_the_future_was_applied_whenever_it_was_copied(nats_url: str) -> None:
    """Its entity is doubtful from then on, also for a migration that goes on after it.

    The engine has read no history, and asks for an entity's last event alone.
    """
    soon = time.time_ns() // 1_000_000 + 30_000  # a server follows it: it is not far ahead
    future = event_token("view", f"{soon:016x}-0000000000010000")
    await made(nats_url, [event(1), event(2, "one", future), event(3, "two")], finish=False)
    last_of_one, last_of_two = event(4), event(5, "two")
    await made(nats_url, [last_of_one, last_of_two])
    async with started(nats_url) as engine:
        with pytest.raises(DuplicateEvent):
            await engine.append(
                Append("default", ORDER, "one", last_of_one.event_id, [APPROVED], future)
            )
        await engine.append(
            Append("default", ORDER, "two", last_of_two.event_id, [APPROVED], future)
        )


async def test_a_token_is_not_forgotten_whose_store_had_a_clock_ahead(nats_url: str) -> None:
    early, late = _ids.next_id(), _ids.next_id()
    token = event_token("view", late)
    await made(nats_url, [event(1, "one", token, early)])
    async with started(nats_url) as engine:
        with pytest.raises(DuplicateEvent):
            await engine.append(Append("default", ORDER, "one", early, [APPROVED], token))


async def test_entities_are_as_their_writer_would_have_stored_them(
    nats_url: str, wire: Wire, partition: Partition
) -> None:
    """What was triggered by events before it is not doubtful: no history is read for nothing."""
    long = "x" * 200
    trigger = _ids.next_id()
    async with started(nats_url) as engine:
        appended = await engine.append(
            Append("default", ORDER, long, None, [CREATED, APPROVED], event_token("v", trigger))
        )
        stored = open_stored(nats_url, "SOURCE")
        await stored.open()
        events = await stored.read_events(0, 2)
        await stored.close()
    copy = nats_url.replace("?", "-copy?")
    await made(copy, events)
    subject = partition.subject("default", ORDER, long)
    original = await last(wire, partition.stream, subject)
    there = partition_of(copy)
    copied = await last(wire, there.stream, there.subject("default", ORDER, long))
    assert original is not None
    assert copied is not None
    assert (copied.sequence, copied.data) == (original.sequence, original.data)
    assert decode(copied.data).event_id == appended.entity_version
    assert not decode(copied.data).doubtful


# ── Cells ─────────────────────────────────────────────────────────────────────────────────────────


async def test_names_that_are_digests_in_subjects_are_read(nats_url: str) -> None:
    space, kind, name = "s" * 150, "t" * (MOST_TOKEN + 1), "é" * 90
    async with started(nats_url) as engine:
        appended = await engine.append(
            Append(space, kind, name, None, [CREATED], None, NewSnapshot("S", "{}"))
        )
        await engine.create_subscription(SubscriptionRecord(space, name, {}, (1,) * 8))
    stored = open_stored(nats_url, "SOURCE")
    await stored.open()
    [found] = await stored.read_events(0, 1)
    assert (found.space, found.entity_type, found.entity_id) == (space, kind, name)
    key = SnapshotKey(space, kind, name)
    expected = StoredSnapshot(key, appended.entity_version, "S", "{}")
    assert [page async for page in stored.snapshots()] == [[expected]]
    assert await stored.find_snapshots([key]) == [expected]
    assert [each.subscriber_id for each in await stored.subscriptions()] == [name]
    await stored.close()


async def test_more_than_a_look_returns_is_read(nats_url: str) -> None:
    target = open_target(nats_url, "TARGET")
    await target.open()
    await target.begin("a source")
    letters = [
        DeadLetterRecord("default", "view", 1, at, "id", ORDER, "one", "Created", 10, "why", 5)
        for at in range(1, 1_101)
    ]
    await target.write(
        Changes(
            spaces={"default": 8, "narrow": 2},
            subscriptions=[SubscriptionRecord("default", "view", {}, (0,) * 8)],
            dead_letters=letters,
        )
    )
    assert await target.dead_letters() == letters
    async with target.moment():
        assert await target.dead_letters() == letters
        assert await target.spaces() == {"default": 8, "narrow": 2}
    await target.close()


async def test_snapshots_that_are_replaced_meanwhile_do_no_harm(
    nats_url: str, tmp_path: Path
) -> None:
    copy = f"sqlite:{tmp_path / 'copy.db'}"
    async with started(nats_url) as engine:
        versions = {}
        for name in ("one", "two"):
            new = Append("default", ORDER, name, None, [CREATED], None, NewSnapshot("S", "old"))
            versions[name] = (await engine.append(new)).entity_version
        source, target = open_stored(nats_url, "SOURCE"), open_target(copy, "TARGET")
        await source.open()
        await target.open()
        await target.begin("a source")
        await target.write(Changes(spaces={"default": 8}))
        await target.import_events(await source.read_events(0, 2))
        assert await copy_state(source, target) == []
        async with source.moment():
            newer = NewSnapshot("S", "newer")
            for name in ("one", "three"):
                version = versions.get(name)
                await engine.append(
                    Append("default", ORDER, name, version, [APPROVED], None, newer)
                )
            assert await copy_state(source, target) == []
        await target.import_events(await source.read_events(2, 4))
        assert await copy_state(source, target) == []
        found = [each async for page in target.snapshots() for each in page]
        assert sorted((each.key.entity_id, each.json) for each in found) == [
            ("one", "newer"),
            ("three", "newer"),
            ("two", "old"),
        ]
        assert (await verify(source, target, report=lambda _: None)).differences == []
        await target.close()
        await source.close()


# ── Who is there ──────────────────────────────────────────────────────────────────────────────────


async def test_whoever_has_lost_its_connection_is_not_here(
    nats_url: str, wire: Wire, subjects: Subjects
) -> None:
    cells = Cells(wire, subjects)
    await cells.prepare()
    address = read_address(nats_url)
    there = Wire(address)
    await there.open()
    presence = Presence(there, Cells(there, subjects), subjects, Kind.MIGRATION)
    await presence.come()
    assert len(await present(wire, cells, subjects, Kind.MIGRATION)) == 1
    assert await present(wire, cells, subjects, Kind.MIGRATION, presence) == []
    assert await present(wire, cells, subjects, Kind.SERVER) == []
    await there.close()  # and it does not say that it goes, as if it were killed
    assert await cells.get(presence.subject) is not None
    async with asyncio.timeout(30):  # its node may not have noticed yet that it is gone
        while await present(wire, cells, subjects, Kind.MIGRATION):
            await asyncio.sleep(0.05)
    assert await cells.get(presence.subject) is None


async def test_whoever_gives_no_answer_but_is_connected_is_here(
    wire: Wire, subjects: Subjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = Cells(wire, subjects)
    await cells.prepare()
    presence = Presence(wire, cells, subjects, Kind.SERVER)
    # It listens, and stands still.
    await wire.listen(f"{subjects.here}.{presence.subject.rpartition('.')[2]}", lambda _: None)
    await cells.put(Change(presence.subject, b"host 1", None))
    monkeypatch.setattr(eventuary.engines.jetstream.wire, "_TIMEOUT", 0.3)
    assert await present(wire, cells, subjects, Kind.SERVER) == ["host 1"]


async def test_a_server_that_comes_while_it_is_held_is_told(nats_url: str) -> None:
    async with started(nats_url):
        pass
    stored = open_stored(nats_url, "SOURCE")
    await stored.open()
    assert await stored.hold() is None
    with pytest.raises(ConfigurationError, match=r"a migration has it at this moment \("):
        await open_engine(nats_url).start(lambda _: None)
    other = open_stored(nats_url, "SOURCE")
    await other.open()
    assert str(await other.hold()).startswith("migration ")
    await other.close()
    await stored.close()
    async with started(nats_url) as engine:
        assert engine.head == 0


async def test_streams_of_a_newer_program_are_left_alone(
    nats_url: str, wire: Wire, partition: Partition
) -> None:
    described = msgspec.json.decode(await call(wire, f"STREAM.INFO.{partition.stream}"))
    described["config"]["metadata"]["eventuary.format"] = "99"
    await call(wire, f"STREAM.UPDATE.{partition.stream}", described["config"])
    for stored in (open_stored(nats_url, "SOURCE"), open_target(nats_url, "TARGET")):
        with pytest.raises(ConfigurationError, match=r"has format 99, .* upgrade it"):
            await stored.open()
        await stored.close()


async def test_a_log_of_several_streams_is_refused(nats_url: str, tmp_path: Path) -> None:
    """As a source and as a target, whether it is there or would be made."""
    several = f"{nats_url}&streams=2"
    with pytest.raises(ConfigurationError, match="streams: 2, and a log of several streams can't"):
        await made(several, [event(1)])
    async with started(several) as engine:
        await engine.append(Append("default", ORDER, None, None, [CREATED]))
    for url in (several, nats_url):
        with pytest.raises(ConfigurationError, match="a log of several streams can't be migrated"):
            await made(url, [event(1)])
        stored = open_stored(url, "SOURCE")
        with pytest.raises(ConfigurationError, match="a log of several streams can't be migrated"):
            await stored.open()
        await stored.close()
