"""The JetStream engine: the contract, and what is its own: batches, names, addresses, triggers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventuary.engines.engine import Engine, KeyRecord, LogQuery, SubscriptionRecord
from eventuary.engines.jetstream.address import read_address
from eventuary.engines.jetstream.subjects import MOST_TOKEN, name_of, token_of
from eventuary.engines.opening import open_engine, shown
from eventuary.errors import (
    BadRequest,
    ConfigurationError,
    DuplicateEvent,
    EntityExists,
    OptimisticLockError,
    PayloadTooLarge,
    ServiceUnavailable,
)
from eventuary.events import Append, Appended, NewEvent, NewSnapshot
from eventuary.tokens import event_token
from tests.engines.contract import APPROVED, CREATED, ORDER, EngineContract, creation, update
from tests.nats.cluster import NatsCluster
from tests.nats.engines import started
from tests.ports import free_ports


class TestJetStreamEngine(EngineContract):
    @pytest.fixture(autouse=True)
    def _storage(self, nats_url: str) -> None:
        self.url = nats_url

    def make(self) -> Engine:
        return open_engine(self.url)


@pytest.fixture
async def engine(nats_url: str) -> AsyncIterator[Engine]:
    async with started(nats_url) as one:
        yield one


async def test_swimlanes_stay_as_a_space_began(engine: Engine, nats_url: str) -> None:
    await engine.append(creation())
    later = open_engine(nats_url, swimlanes=3)
    await later.start(lambda committed: None)
    try:
        assert (later.swimlanes("default"), later.swimlanes("new")) == (8, 3)
    finally:
        await later.stop()


async def test_a_subscription_of_another_number_of_swimlanes_is_refused(engine: Engine) -> None:
    await engine.append(creation())
    with pytest.raises(ServiceUnavailable, match="8 swimlanes, and not 3"):
        await engine.store_subscription(SubscriptionRecord("default", "view", {}, (0,) * 3))
    assert await engine.load_subscriptions("default") == []


async def test_stopping_finishes_what_was_begun(nats_url: str) -> None:
    engine = open_engine(nats_url)
    await engine.start(lambda committed: None)
    futures = [engine.append(creation()) for _ in range(200)]
    await engine.stop()
    assert all(isinstance(future.result(), Appended) for future in futures)
    assert engine.head == 200


async def test_a_caller_that_goes_away_disturbs_nobody(engine: Engine) -> None:
    await engine.append(creation())  # the space is known: what comes now has its turn at once
    gone = engine.append(creation(entity_id="gone"))
    gone.cancel()
    await engine.append(creation(entity_id="gone too"))
    # The turn of the entity comes after the append whose caller went away.
    with pytest.raises(EntityExists):
        await engine.append(creation(entity_id="gone"))
    engine.load("default", ORDER, "gone", None).cancel()
    assert (await engine.load("default", ORDER, "gone too", None)).events


# ── Batches ───────────────────────────────────────────────────────────────────────────────────


async def test_several_thousand_appends_of_several_events_wait_for_a_place(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JetStream refuses more than 50 open batches of a stream: none of ours may fail by that."""
    monkeypatch.setattr("eventuary.engines.jetstream.writer._PATIENCE", 100.0)  # disks may be slow
    outcomes = await asyncio.gather(*(engine.append(creation(*[CREATED] * 3)) for _ in range(2000)))
    assert len({outcome.entity_id for outcome in outcomes}) == 2000
    assert engine.head == 6000
    assert engine.counts.waiting == engine.counts.waiting_characters == 0


async def test_an_append_may_be_as_large_as_a_batch_and_no_larger(engine: Engine) -> None:
    many = [NewEvent("E", str(number)) for number in range(1000)]
    appended = await engine.append(creation(*many))
    with pytest.raises(BadRequest, match="events: 1001 events, and JetStream stores 1000 at most"):
        await engine.append(update(appended, *many, APPROVED))
    await engine.append(update(appended, APPROVED))
    entity = await engine.load("default", ORDER, appended.entity_id, None)
    assert [event.event_data for event in entity.events] == [*map(str, range(1000)), "{}"]


async def test_a_load_takes_as_many_questions_however_many_events_there_are(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, many = [await engine.append(creation(*[CREATED] * size)) for size in (1, 1000)]
    asked = []
    wire = engine._wire  # type: ignore[attr-defined]  # JetStream's own
    send = wire.send

    async def count(subject: str, *arguments: object, **more: object) -> None:
        asked.append(subject)
        await send(subject, *arguments, **more)

    monkeypatch.setattr(wire, "send", count)
    for appended, size in ((one, 1), (many, 1000)):
        asked.clear()
        entity = await engine.load("default", ORDER, appended.entity_id, None)
        assert len(entity.events) == size
        # The last message of its subject, and its messages; again only while a replica is behind.
        assert {subject.split(".")[2] for subject in asked} == {"STREAM", "DIRECT"}
        assert len(asked) < 200


async def test_what_is_larger_than_a_message_is_refused(engine: Engine) -> None:
    large = NewEvent("Large", "x" * 8_400_000)
    with pytest.raises(PayloadTooLarge, match=r"has 84\d+ bytes .* over the limit of \d+ bytes"):
        await engine.append(creation(CREATED, large))
    assert engine.head == 0


# ── Triggers ──────────────────────────────────────────────────────────────────────────────────


async def test_a_snapshot_that_is_larger_than_a_message_is_refused(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its headers, which the client's own check leaves out: the node would hang up."""
    # A node that is busy with so large ones is not to be left for that.
    monkeypatch.setattr("eventuary.engines.jetstream.wire._PING_EVERY", 60)
    async with started(nats_url) as engine:
        await _store_larger_and_larger(engine)


async def _store_larger_and_larger(engine: Engine) -> None:
    made = await engine.append(creation(entity_id="e"))
    wire = engine._wire  # type: ignore[attr-defined]  # JetStream's own
    returns: list[None] = []
    wire.when_back(lambda: returns.append(None))
    for left_out in range(32, 144, 16):
        snapshot = NewSnapshot("S", "x" * (wire.most_payload - left_out))
        with contextlib.suppress(PayloadTooLarge):
            await engine.store_snapshot("default", ORDER, "e", made.entity_version, snapshot)
    with pytest.raises(PayloadTooLarge, match="over the cluster's limit max_payload of 8388608"):
        await engine.store_snapshot(
            "default", ORDER, "e", made.entity_version, NewSnapshot("S", "x" * wire.most_payload)
        )
    assert not returns, "the connection was never lost"


async def test_a_node_that_complains_is_connected_to_anew(engine: Engine) -> None:
    """As of what is too large; the library would take it for the end of all."""
    wire = engine._wire  # type: ignore[attr-defined]  # JetStream's own
    is_back = asyncio.Event()
    wire.when_back(is_back.set)
    too_large = b"x" * wire.most_payload
    await wire._client.publish("nowhere", too_large, headers={"with": "a header"})
    await asyncio.wait_for(is_back.wait(), 20)
    await engine.append(creation())


async def test_a_trigger_is_known_to_a_server_that_has_not_seen_it(nats_url: str) -> None:
    """Without its memory of entities a server finds by the log what was applied, and what not."""
    async with started(nats_url) as one:
        made = await one.append(creation())
        applied = event_token("a", made.entity_version)
        version = (await one.append(update(made, token=applied))).entity_version
    async with started(nats_url) as two:
        later = await two.append(creation())  # its id is above the version
        with pytest.raises(DuplicateEvent):
            await two.append(update(made, version=version, token=applied))
    async with started(nats_url) as three:
        with pytest.raises(DuplicateEvent):
            await three.load("default", ORDER, made.entity_id, applied)
        fresh = event_token("a", later.entity_version)
        after = await three.append(update(made, version=version, token=fresh))
        assert after.entity_version > later.entity_version
        with pytest.raises(DuplicateEvent):
            await three.append(update(made, version=after.entity_version, token=fresh))


async def test_a_trigger_is_known_behind_a_snapshot(nats_url: str) -> None:
    async with started(nats_url) as one:
        made = await one.append(creation())
        token = event_token("a", made.entity_version)
        second = await one.append(update(made, token=token))
        snapshot = NewSnapshot("S", "{}")
        third = await one.append(update(second, snapshot=snapshot))
    async with started(nats_url) as two:
        entity = await two.load("default", ORDER, made.entity_id, None)
        assert (entity.events, entity.snapshot is not None) == ([], True)
        with pytest.raises(DuplicateEvent):
            await two.load("default", ORDER, made.entity_id, token)
        with pytest.raises(DuplicateEvent):
            await two.append(update(third, token=token))


@pytest.mark.parametrize("token", ["opaque", "f" * 16 + "-" + "f" * 16 + ".YQ"])
async def test_a_token_that_no_event_of_ours_has_is_applied_once_too(
    nats_url: str, token: str
) -> None:
    """One that is no token of ours; one that names an event of the far future."""
    async with started(nats_url) as one:
        made = await one.append(creation())
        second = await one.append(update(made, token=token))
        third = await one.append(update(second))
        assert third.entity_version[:8] == made.entity_version[:8]  # no id follows it
    async with started(nats_url) as two:
        with pytest.raises(DuplicateEvent):
            await two.append(update(third, token=token))
        # What is told of a stale version is the same.
        with pytest.raises(DuplicateEvent):
            await two.append(update(made, token=token))
        with pytest.raises(OptimisticLockError):
            await two.append(update(made, token="another"))


# ── Names ─────────────────────────────────────────────────────────────────────────────────────

_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255)


@settings(deadline=None)
@given(_NAMES, _NAMES)
def test_tokens_are_bounded_and_stand_for_one_name(name: str, other: str) -> None:
    token = token_of(name)
    assert 0 < len(token) <= MOST_TOKEN
    assert not set(token) & set(". *>\t\r\n")
    assert token.isascii()
    assert name_of(token) in (name, None)
    assert (token == token_of(other)) == (name == other)


@pytest.mark.parametrize(
    "name",
    ["a.b", "*", ">", "a b", ".", "..", "=", "%", "%2E", "$SYS", "ü", "\U0001f600" * 255, "/", "~"],
)
async def test_any_name_can_be_stored_and_read_back(engine: Engine, name: str) -> None:
    appended = await engine.append(Append(name, name, name, None, [NewEvent(name, name)]))
    assert (await engine.load(name, name, name, None)).events[0].event_type == name
    [event] = (await engine.read_log(LogQuery(name, 0))).events
    assert (event.space, event.entity_type, event.entity_id) == (name, name, name)
    assert event.event_id == appended.entity_version
    await engine.create_subscription(SubscriptionRecord(name, name, {name: [name]}, (0,) * 8))
    [stored] = await engine.load_subscriptions(name)
    assert (stored.space, stored.subscriber_id) == (name, name)


async def test_names_are_read_back_by_a_server_that_has_not_written_them(nats_url: str) -> None:
    name = "ü" * 255  # longer than a token: it is in the message
    async with started(nats_url) as one:
        await one.append(Append(name, name, name, None, [NewEvent(name, "")]))
    async with started(nats_url) as two:
        [event] = (await two.read_log(LogQuery(name, 0))).events
        assert (event.space, event.entity_type, event.entity_id) == (name, name, name)
        assert two.event_types(name) == [(name, name)]


# ── Opening ───────────────────────────────────────────────────────────────────────────────────


async def test_keys_need_no_running_engine(nats_url: str) -> None:
    engine = open_engine(nats_url)
    assert not await asyncio.to_thread(lambda: engine.exists)
    async with started(nats_url):
        pass
    assert await asyncio.to_thread(lambda: engine.exists)
    key = KeyRecord("ops", "ab" * 32, ("*",), False, 5)
    await asyncio.to_thread(engine.keys.add_key, key)
    assert await asyncio.to_thread(engine.keys.list_keys) == [key]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nats://", "names no node"),
        ("nats:///x", "names no node"),
        ("nats://h/a.b", "'a.b' is not 1 to 64 letters"),
        ("nats://h?replicas=0", "replicas: '0' is outside 1..5"),
        ("nats://h?replicas=x", "replicas: 'x' is outside 1..5"),
        ("nats://h?system=me", "write system=USER:PASSWORD"),
        ("nats://h?copies=3", "unknown parameter 'copies'"),
        ("nats:h", "unknown scheme"),
    ],
)
def test_an_address_that_can_not_be_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        open_engine(url)


def test_an_address_names_nodes_a_log_and_who_asks() -> None:
    address = read_address("nats://m%40e:s:e@a:1,b,c:3/orders?replicas=5&system=sys:p%26w")
    assert address.servers == ("nats://a:1", "nats://b", "nats://c:3")
    assert (address.user, address.password) == ("m@e", "s:e")
    assert (address.name, address.replicas, address.system) == ("orders", 5, ("sys", "p&w"))
    assert read_address("nats://t0ken@h").user == "t0ken"
    assert read_address("nats://t0ken@h").password is None
    assert read_address("nats://h").name == "eventuary"


def test_no_secret_is_shown() -> None:
    url = "nats://me:hush@h,h2/x?system=sys:hush&replicas=3"
    assert shown(url) == "nats://me:***@h,h2/x?system=sys:***&replicas=3"
    assert shown("nats://hush@h") == "nats://***@h"
    assert shown("nats://h,h2/x") == "nats://h,h2/x"


async def test_what_cannot_be_reached_is_one_line() -> None:
    [port] = free_ports(1)
    with pytest.raises(ConfigurationError, match="can't be opened") as caught:
        await open_engine(f"nats://me:hush@127.0.0.1:{port}/x").start(lambda committed: None)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_who_may_not_ask_the_nodes_is_refused(nats_cluster: NatsCluster) -> None:
    url = nats_cluster.url_of("who", "system=system:wrong")
    with pytest.raises(ConfigurationError, match="can't be opened") as caught:
        await open_engine(url).start(lambda committed: None)
    assert "wrong" not in str(caught.value)
