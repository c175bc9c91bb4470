"""What every engine does. A new engine inherits ``EngineContract`` and gives it engines to try."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

import pytest

from eventuary.engines.engine import (
    Committed,
    DeadLetterRecord,
    Engine,
    KeyRecord,
    LogQuery,
    SubscriptionRecord,
    SwimlanePosition,
)
from eventuary.errors import (
    Conflict,
    DuplicateEvent,
    EntityExists,
    NotFound,
    OptimisticLockError,
)
from eventuary.events import (
    Append,
    Appended,
    Entity,
    EventType,
    LogEvent,
    NewEvent,
    NewSnapshot,
)
from eventuary.swimlanes import swimlane_of
from eventuary.tokens import event_token

ORDER = "orders.Order"
CREATED = NewEvent("OrderCreated", '{"total":"12.34"}')
APPROVED = NewEvent("OrderApproved", "{}", '{"actor":"test"}')


def creation(
    *events: NewEvent,
    entity_id: str | None = None,
    space: str = "default",
    token: str | None = None,
) -> Append:
    return Append(space, ORDER, entity_id, None, events or (CREATED,), token)


def update(
    appended: Appended,
    *events: NewEvent,
    version: str | None = None,
    token: str | None = None,
    snapshot: NewSnapshot | None = None,
) -> Append:
    return Append(
        "default",
        ORDER,
        appended.entity_id,
        version or appended.entity_version,
        events or (APPROVED,),
        token,
        snapshot,
    )


class EngineContract(ABC):
    """The tests. ``make`` returns an engine over the storage of this test, not started."""

    @abstractmethod
    def make(self) -> Engine:
        """Return an engine; a later call in the same test returns one over the same storage."""

    @contextlib.asynccontextmanager
    async def started(self, committed: list[Committed] | None = None) -> AsyncIterator[Engine]:
        engine = self.make()
        await engine.start((committed if committed is not None else []).append)
        try:
            yield engine
        finally:
            await engine.stop()

    @pytest.fixture
    async def engine(self) -> AsyncIterator[Engine]:
        async with self.started() as engine:
            yield engine

    # ── Appending ─────────────────────────────────────────────────────────────────────────────

    async def test_created_entity_is_read_back_as_it_was_written(self, engine: Engine) -> None:
        appended = await engine.append(creation(CREATED, APPROVED))
        entity = await engine.load("default", ORDER, appended.entity_id, None)
        assert [(e.id, e.event_type, e.event_data, e.metadata) for e in entity.events] == [
            (appended.event_ids[0], "OrderCreated", '{"total":"12.34"}', None),
            (appended.event_ids[1], "OrderApproved", "{}", '{"actor":"test"}'),
        ]
        assert appended.entity_version == appended.event_ids[-1]
        assert entity.snapshot is None

    @pytest.mark.parametrize(
        "data",
        [
            "",
            "\0",
            "a\0b",
            '"\\\n\r\t',
            "\u2028 \U0001f600 é",
            "'; DROP TABLE events; --",
            "x" * 300_000,
        ],
        ids=["empty", "nul", "inner nul", "escapes", "unicode", "sql", "large"],
    )
    async def test_data_comes_back_unchanged(self, engine: Engine, data: str) -> None:
        appended = await engine.append(creation(NewEvent("T", data, data)))
        (event,) = (await engine.load("default", ORDER, appended.entity_id, None)).events
        assert (event.event_data, event.metadata) == (data, data)
        (logged,) = (await engine.read_log(LogQuery("default", 0))).events
        assert (logged.event_data, logged.metadata) == (data, data)

    async def test_ids_grow_within_an_entity_and_along_the_log(self, engine: Engine) -> None:
        first = await engine.append(creation(*[CREATED] * 50))
        second = await engine.append(update(first, *[APPROVED] * 50))
        ids = first.event_ids + second.event_ids
        assert ids == sorted(set(ids))
        logged = [e.event_id for e in (await engine.read_log(LogQuery("default", 0))).events]
        assert logged == ids

    async def test_chosen_entity_id_is_kept(self, engine: Engine) -> None:
        appended = await engine.append(creation(entity_id="Bestellung ü/…%20".replace("/", ":")))
        assert appended.entity_id == "Bestellung ü:…%20"
        assert (await engine.load("default", ORDER, appended.entity_id, None)).events

    async def test_creating_what_exists_is_refused(self, engine: Engine) -> None:
        await engine.append(creation(entity_id="one"))
        with pytest.raises(EntityExists, match="'one' exists"):
            await engine.append(creation(entity_id="one"))
        assert len((await engine.load("default", ORDER, "one", None)).events) == 1

    async def test_same_id_in_another_type_or_space_is_another_entity(self, engine: Engine) -> None:
        await engine.append(creation(entity_id="one"))
        await engine.append(creation(entity_id="one", space="other"))
        await engine.append(Append("default", "orders.Cart", "one", None, [CREATED]))
        for space, entity_type in (
            ("default", ORDER),
            ("other", ORDER),
            ("default", "orders.Cart"),
        ):
            assert len((await engine.load(space, entity_type, "one", None)).events) == 1

    async def test_stale_version_is_refused_and_nothing_is_stored(self, engine: Engine) -> None:
        appended = await engine.append(creation())
        await engine.append(update(appended))
        with pytest.raises(OptimisticLockError, match=appended.entity_version):
            await engine.append(update(appended))
        assert len((await engine.load("default", ORDER, appended.entity_id, None)).events) == 2
        assert engine.head == 2

    async def test_of_many_that_loaded_the_same_version_one_wins(self, engine: Engine) -> None:
        appended = await engine.append(creation())
        outcomes = await asyncio.gather(
            *(engine.append(update(appended)) for _ in range(50)), return_exceptions=True
        )
        won = [outcome for outcome in outcomes if isinstance(outcome, Appended)]
        lost = [outcome for outcome in outcomes if isinstance(outcome, OptimisticLockError)]
        assert (len(won), len(lost)) == (1, 49)
        entity = await engine.load("default", ORDER, appended.entity_id, None)
        assert [event.id for event in entity.events[1:]] == won[0].event_ids

    async def test_of_many_that_create_the_same_id_one_wins(self, engine: Engine) -> None:
        outcomes = await asyncio.gather(
            *(engine.append(creation(entity_id="one")) for _ in range(20)), return_exceptions=True
        )
        assert sum(isinstance(outcome, Appended) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, EntityExists) for outcome in outcomes) == 19

    async def test_a_conflict_fails_alone(self, engine: Engine) -> None:
        appended = await engine.append(creation())
        stale = update(appended, version="0" * 16 + "-" + "0" * 16)
        outcomes = await asyncio.gather(
            engine.append(creation()),
            engine.append(stale),
            engine.append(creation()),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [Appended, OptimisticLockError, Appended]

    async def test_updating_what_does_not_exist_is_refused(self, engine: Engine) -> None:
        version = "0" * 15 + "1-" + "0" * 16
        with pytest.raises(NotFound, match="'nobody' does not exist"):
            await engine.append(Append("default", ORDER, "nobody", version, [APPROVED]))
        with pytest.raises(NotFound):
            await engine.append(Append("nowhere", "No", "nobody", version, [APPROVED]))
        assert engine.event_types("nowhere") == []

    async def test_events_of_one_append_are_all_there_or_none(self, engine: Engine) -> None:
        many = [NewEvent(f"E{number}", "{}") for number in range(700)]
        appended = await engine.append(creation(*many))
        entity = await engine.load("default", ORDER, appended.entity_id, None)
        assert [event.event_type for event in entity.events] == [e.event_type for e in many]

    # ── Triggers ──────────────────────────────────────────────────────────────────────────────

    async def test_a_trigger_is_applied_to_an_entity_once(self, engine: Engine) -> None:
        token = event_token("customer-service", "0" * 16 + "-" + "1" * 16)
        appended = await engine.append(creation())
        updated = await engine.append(update(appended, token=token))
        for version in (appended.entity_version, updated.entity_version):
            with pytest.raises(DuplicateEvent, match="already applied"):
                await engine.append(update(appended, version=version, token=token))
        with pytest.raises(DuplicateEvent):
            await engine.load("default", ORDER, appended.entity_id, token)
        assert len((await engine.load("default", ORDER, appended.entity_id, None)).events) == 2

    async def test_a_trigger_sent_twice_at_once_is_applied_once(self, engine: Engine) -> None:
        token = event_token("customer-service", "0" * 16 + "-" + "1" * 16)
        appended = await engine.append(creation())
        outcomes = await asyncio.gather(
            engine.append(update(appended, token=token)),
            engine.append(update(appended, token=token)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [Appended, DuplicateEvent]

    async def test_a_trigger_may_be_applied_to_several_entities(self, engine: Engine) -> None:
        token = event_token("customer-service", "0" * 16 + "-" + "1" * 16)
        first, second = await engine.append(creation()), await engine.append(creation())
        await engine.append(update(first, token=token))
        await engine.append(update(second, token=token))
        await engine.append(
            update(
                second,
                version=(await self._version(engine, second)),
                token=event_token("other", "0" * 16 + "-" + "1" * 16),
            )
        )

    async def test_the_trigger_is_in_the_log(self, engine: Engine) -> None:
        token = event_token("customer-service", "0" * 16 + "-" + "1" * 16)
        await engine.append(creation(CREATED, APPROVED, token=token))
        events = (await engine.read_log(LogQuery("default", 0))).events
        assert [event.triggering_event_token for event in events] == [token, token]

    async def _version(self, engine: Engine, appended: Appended) -> str:
        return (await engine.load("default", ORDER, appended.entity_id, None)).events[-1].id

    # ── Several at once ───────────────────────────────────────────────────────────────────────

    async def test_several_appends_have_an_outcome_each(self, engine: Engine) -> None:
        outcomes = await engine.append_all(
            [creation(entity_id="a"), creation(entity_id="a"), creation(entity_id="b")],
            atomic=False,
        )
        assert [type(outcome) for outcome in outcomes] == [Appended, EntityExists, Appended]
        assert engine.head == 2

    async def test_several_appends_to_one_entity_are_done_in_their_order(
        self, engine: Engine
    ) -> None:
        for number in range(10):  # spaces that are new, and have to be looked up first
            appends = [creation(entity_id="a", space=f"new-{number}") for _ in range(5)]
            outcomes = await engine.append_all(appends, atomic=False)
            assert [type(outcome) for outcome in outcomes] == [Appended, *[EntityExists] * 4]

    async def test_atomic_appends_are_all_done_or_none(self, engine: Engine) -> None:
        outcomes = await engine.append_all(
            [creation(entity_id="a"), creation(entity_id="a"), creation(entity_id="b")],
            atomic=True,
        )
        assert [type(outcome) for outcome in outcomes] == [Conflict, EntityExists, Conflict]
        assert engine.head == 0
        for entity_id in ("a", "b"):
            assert await engine.load("default", ORDER, entity_id, None) == Entity([])
        outcomes = await engine.append_all(
            [creation(entity_id="a"), creation(entity_id="b")], atomic=True
        )
        assert [type(outcome) for outcome in outcomes] == [Appended, Appended]

    async def test_a_refused_atomic_call_leaves_its_group_alone(self, engine: Engine) -> None:
        results = await asyncio.gather(
            engine.append(creation(entity_id="before")),
            engine.append_all([creation(entity_id="x"), creation(entity_id="x")], atomic=True),
            engine.append(creation(entity_id="x")),
        )
        assert isinstance(results[2], Appended)
        logged = (await engine.read_log(LogQuery("default", 0))).events
        # Calls that are under way at once are done in any order.
        assert sorted(event.entity_id for event in logged) == ["before", "x"]

    # ── Snapshots ─────────────────────────────────────────────────────────────────────────────

    async def test_with_a_snapshot_only_later_events_are_loaded(self, engine: Engine) -> None:
        appended = await engine.append(creation())
        second = await engine.append(
            update(appended, snapshot=NewSnapshot("OrderState", '{"s":1}'))
        )
        entity = await engine.load("default", ORDER, appended.entity_id, None)
        assert entity.events == []
        assert entity.snapshot is not None
        assert entity.snapshot.entity_version == second.entity_version
        third = await engine.append(update(second))
        entity = await engine.load("default", ORDER, appended.entity_id, None)
        assert [event.id for event in entity.events] == third.event_ids
        await engine.append(update(third, snapshot=NewSnapshot("OrderState", '{"s":2}')))
        entity = await engine.load("default", ORDER, appended.entity_id, None)
        assert entity.snapshot is not None
        assert (entity.snapshot.json, entity.events) == ('{"s":2}', [])

    async def test_a_refused_append_stores_no_snapshot(self, engine: Engine) -> None:
        appended = await engine.append(creation())
        await engine.append(update(appended))
        with pytest.raises(OptimisticLockError):
            await engine.append(update(appended, snapshot=NewSnapshot("OrderState", "{}")))
        assert (await engine.load("default", ORDER, appended.entity_id, None)).snapshot is None

    # ── The log ───────────────────────────────────────────────────────────────────────────────

    async def test_an_unknown_entity_has_no_events(self, engine: Engine) -> None:
        assert await engine.load("default", ORDER, "nobody", None) == Entity([])

    async def test_the_log_is_read_in_pages_without_gap_or_repeat(self, engine: Engine) -> None:
        for number in range(25):
            await engine.append(creation(NewEvent("N", str(number))))
        seen: list[LogEvent] = []
        position = 0
        while position < engine.head:
            page = await engine.read_log(LogQuery("default", position, limit=7))
            assert len(page.events) <= 7
            assert page.position > position
            seen += page.events
            position = page.position
        assert [event.event_data for event in seen] == [str(number) for number in range(25)]
        assert [event.position for event in seen] == sorted({e.position for e in seen})

    async def test_a_page_stops_at_its_bytes_but_has_one_event(self, engine: Engine) -> None:
        for _ in range(4):
            await engine.append(creation(NewEvent("Big", "x" * 1000)))
        page = await engine.read_log(LogQuery("default", 0, max_bytes=2500))
        assert len(page.events) == 2
        page = await engine.read_log(LogQuery("default", page.position, max_bytes=10))
        assert len(page.events) == 1

    async def test_filters_choose_types_entity_types_and_swimlanes(self, engine: Engine) -> None:
        for number in range(40):
            await engine.append(
                Append(
                    "default",
                    f"T{number % 2}",
                    f"e{number}",
                    None,
                    [NewEvent(f"E{number % 3}", "{}")],
                )
            )
        await engine.append(creation(space="other"))

        async def chosen(query: LogQuery) -> list[tuple[str, str]]:
            page = await engine.read_log(query)
            assert page.position == (query.until or engine.head)
            return [(event.entity_type, event.event_type) for event in page.events]

        wanted = EventType("T1", "E2")
        assert set(await chosen(LogQuery("default", 0, types=frozenset([wanted])))) == {wanted}
        only = await chosen(LogQuery("default", 0, entity_types=frozenset(["T0"])))
        assert {entity_type for entity_type, _ in only} == {"T0"}
        assert len(only) == 20
        named = await chosen(LogQuery("default", 0, event_types=frozenset(["E1", "E9"])))
        assert set(named) == {("T0", "E1"), ("T1", "E1")}
        assert len(named) == 13
        assert await chosen(LogQuery("default", 0, types=frozenset([EventType("T9", "E9")]))) == []
        assert len(await chosen(LogQuery("default", 0, until=10))) == 10
        lanes = frozenset([1, 5])
        page = await engine.read_log(LogQuery("default", 0, swimlanes=lanes))
        expected = [
            f"e{number}"
            for number in range(40)
            if swimlane_of(f"T{number % 2}", f"e{number}", engine.swimlanes("default")) in lanes
        ]
        assert [event.entity_id for event in page.events] == expected
        assert {event.swimlane for event in page.events} <= lanes
        query = LogQuery("default", 0, swimlanes=lanes)
        assert await engine.count(query, 1000) == len(expected)
        assert await engine.count(query, 3) == 3

    async def test_a_rare_event_far_ahead_is_found(self, engine: Engine) -> None:
        common = [creation(NewEvent("Common", "{}"))] * 1000
        for _ in range(6):
            await engine.append_all(common, atomic=False)
        await engine.append(creation(NewEvent("Rare", "{}")))
        for _ in range(3):
            await engine.append_all(common, atomic=False)
        query = LogQuery("default", 0, types=frozenset([EventType(ORDER, "Rare")]), limit=5)
        page = await engine.read_log(query)
        assert [(event.event_type, event.position) for event in page.events] == [("Rare", 6001)]

    async def test_the_newest_head_is_there_when_it_is_told(self, engine: Engine) -> None:
        assert (await engine.newest_heads())[0] == 0
        await engine.append(creation(CREATED, APPROVED))
        assert (await engine.newest_heads())[0] == engine.head == 2

    async def test_spaces_are_apart(self, engine: Engine) -> None:
        await engine.append(creation(entity_id="one"))
        await engine.append(creation(entity_id="two", space="other"))
        assert [e.entity_id for e in (await engine.read_log(LogQuery("other", 0))).events] == [
            "two"
        ]
        assert await engine.load("other", ORDER, "one", None) == Entity([])
        assert engine.event_types("third") == []

    # ── Commits and restarts ──────────────────────────────────────────────────────────────────

    async def test_commits_are_told_in_order_before_the_append_is_answered(self) -> None:
        committed: list[Committed] = []
        async with self.started(committed) as engine:
            for number in range(10):
                await engine.append(creation(NewEvent("N", str(number))))
                assert committed[-1].head == engine.head == number + 1
        told = [event for each in committed for event in each.events or ()]
        assert [event.event_data for event in told] == [str(number) for number in range(10)]

    async def test_what_was_told_equals_what_the_log_holds(self) -> None:
        committed: list[Committed] = []
        async with self.started(committed) as engine:
            await asyncio.gather(
                *(engine.append(creation(CREATED, APPROVED, token=f"t{n}")) for n in range(30))
            )
            logged = (await engine.read_log(LogQuery("default", 0))).events
        assert [event for each in committed for event in each.events or ()] == logged

    async def test_everything_is_there_after_a_restart(self) -> None:
        async with self.started() as engine:
            first = await engine.append(creation(CREATED, APPROVED, token="t"))
            await engine.append(creation(space="other"))
            head = engine.head
        async with self.started() as engine:
            assert engine.head == head
            assert engine.event_types("default") == [
                EventType(ORDER, "OrderCreated"),
                EventType(ORDER, "OrderApproved"),
            ]
            entity = await engine.load("default", ORDER, first.entity_id, None)
            assert [event.id for event in entity.events] == first.event_ids
            third = await engine.append(update(first))
            assert third.entity_version > first.entity_version
            assert engine.head == head + 1

    # ── Subscriptions, dead letters, keys ─────────────────────────────────────────────────────

    async def test_subscriptions_and_positions_survive_a_restart(self) -> None:
        record = SubscriptionRecord(
            "default", "view", {ORDER: ["OrderCreated"]}, tuple(range(8)), {"window": 5}, True, 77
        )
        async with self.started() as engine:
            await engine.store_subscription(record)
            await engine.store_subscription(SubscriptionRecord("other", "view", {}, (0,) * 8))
            await engine.store_positions(
                [
                    SwimlanePosition("default", "view", 3, 99),
                    SwimlanePosition("default", "nobody", 3, 99),
                ]
            )
        async with self.started() as engine:
            (stored,) = await engine.load_subscriptions("default")
            assert stored == SubscriptionRecord(
                "default",
                "view",
                {ORDER: ["OrderCreated"]},
                (0, 1, 2, 99, 4, 5, 6, 7),
                {"window": 5},
                True,
                77,
            )
            assert len(await engine.load_subscriptions(None)) == 2
            assert await engine.load_subscriptions("default", "nobody") == []
            await engine.delete_subscription("default", "view")
            assert await engine.load_subscriptions("default") == []
            await engine.delete_subscription("default", "view")

    async def test_a_subscription_is_created_once_and_changed_apart_from_its_positions(
        self, engine: Engine
    ) -> None:
        record = SubscriptionRecord("default", "view", {ORDER: ["OrderCreated"]}, (3,) * 8)
        await engine.create_subscription(record)
        with pytest.raises(Conflict, match="'view' exists"):
            await engine.create_subscription(record)
        changed = SubscriptionRecord(
            "default", "view", {ORDER: ["OrderApproved"]}, (0,) * 8, {"window": 2}, True
        )
        await engine.change_subscription(changed)
        [stored] = await engine.load_subscriptions("default", "view")
        assert stored == SubscriptionRecord(
            "default", "view", {ORDER: ["OrderApproved"]}, (3,) * 8, {"window": 2}, True
        )
        await engine.store_subscription(record)
        assert await engine.load_subscriptions("default", "view") == [record]

    async def test_dead_letters_are_kept_listed_and_deleted(self, engine: Engine) -> None:
        await engine.store_subscription(SubscriptionRecord("default", "view", {}, (0,) * 8))
        records = [
            DeadLetterRecord("default", "view", 1, at, "id", ORDER, "one", "T", 10, "why", 5)
            for at in (9, 4)
        ]
        for record in records:
            await engine.store_dead_letter(record)
        assert [d.position for d in await engine.load_dead_letters("default", "view")] == [4, 9]
        assert await engine.load_dead_letters("other", "view") == []
        assert await engine.count_dead_letters() == {("default", "view"): 2}
        await engine.delete_dead_letter("default", "view", 4)
        await engine.delete_dead_letter("default", "view", 4)
        assert await engine.load_dead_letters("default", "view") == [records[0]]
        await engine.delete_subscription("default", "view")
        assert await engine.load_dead_letters("default", "view") == []
        assert await engine.count_dead_letters() == {}

    async def test_keys_are_stored_and_revoked(self, engine: Engine) -> None:
        key = KeyRecord("ops", "ab" * 32, ("default", "other"), True, 5)
        await asyncio.to_thread(engine.keys.add_key, key)
        assert await asyncio.to_thread(engine.keys.list_keys) == [key]
        with pytest.raises(Conflict, match="'ops' exists"):
            await asyncio.to_thread(engine.keys.add_key, key)
        await asyncio.to_thread(engine.keys.revoke_key, "ops")
        assert await asyncio.to_thread(engine.keys.list_keys) == []
        with pytest.raises(NotFound, match="no key 'ops'"):
            await asyncio.to_thread(engine.keys.revoke_key, "ops")
