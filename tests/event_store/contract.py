"""What every event store does, embedded or remote: create, append, load, subscribe."""

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest

from eventuary.delivery.consumer import AckMode
from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.errors import (
    BadRequest,
    DuplicateEvent,
    EntityExists,
    NotFound,
    OptimisticLockError,
    ServiceUnavailable,
)
from eventuary.event_store import Durability, EventStore, ReadFrom
from eventuary.events import END_OF_CURRENT_EVENTS, Appended, Entity, NewEvent, NewSnapshot
from eventuary.tokens import event_token
from tests.event_store.recorder import PATIENCE, Recorder

ORDER = "orders.Order"
SELECTION = {ORDER: ["OrderCreated", "OrderApproved"]}


def created(number: int = 0) -> list[NewEvent]:
    return [NewEvent("OrderCreated", str(number))]


class EventStoreContract(ABC):
    """The tests. ``open`` returns a started store over the storage of this test."""

    @abstractmethod
    async def open(self) -> EventStore:
        """Return a store; opened again in the same test, it has what was stored before."""

    @abstractmethod
    async def shut(self, store: EventStore) -> None:
        """Close a store, as at the end of its process."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[EventStore]:
        store = await self.open()
        yield store
        await self.shut(store)

    # ── create, append, load ──────────────────────────────────────────────────────────────────

    async def test_create_append_load(self, store: EventStore) -> None:
        first = await store.create("default", ORDER, created())
        second = await store.append(
            "default",
            ORDER,
            first.entity_id,
            first.entity_version,
            [NewEvent("Approved", "{}", "m")],
        )
        entity = await store.load("default", ORDER, first.entity_id)
        assert [event.id for event in entity.events] == first.event_ids + second.event_ids
        assert entity.events[-1].metadata == "m"

    async def test_no_events_are_refused(self, store: EventStore) -> None:
        with pytest.raises(BadRequest, match="events: is empty"):
            await store.create("default", ORDER, [], entity_id="one")
        assert await store.load("default", ORDER, "one") == Entity([])

    async def test_conflicts_have_their_names(self, store: EventStore) -> None:
        first = await store.create("default", ORDER, created(), entity_id="one")
        with pytest.raises(EntityExists):
            await store.create("default", ORDER, created(), entity_id="one")
        second = await store.append("default", ORDER, "one", first.entity_version, created())
        with pytest.raises(OptimisticLockError):
            await store.append("default", ORDER, "one", first.entity_version, created())
        with pytest.raises(NotFound):
            await store.append("default", ORDER, "two", first.entity_version, created())
        token = event_token("s", first.entity_version)
        third = await store.append(
            "default", ORDER, "one", second.entity_version, created(), triggering_event_token=token
        )
        with pytest.raises(DuplicateEvent):
            await store.append(
                "default",
                ORDER,
                "one",
                third.entity_version,
                created(),
                triggering_event_token=token,
            )
        with pytest.raises(DuplicateEvent):
            await store.load("default", ORDER, "one", triggering_event_token=token)

    async def test_a_short_version_is_the_same_version(self, store: EventStore) -> None:
        await store.create("default", ORDER, created(), entity_id="one")
        with pytest.raises(OptimisticLockError, match="0000000000000001-0000000000000002"):
            await store.append("default", ORDER, "one", "1-2", created())

    @pytest.mark.parametrize(
        ("space", "entity_type", "entity_id", "event", "field"),
        [
            ("", "T", "i", NewEvent("E", ""), "space"),
            ("a/b", "T", "i", NewEvent("E", ""), "space"),
            ("s", "", "i", NewEvent("E", ""), "entityTypeName"),
            ("s", "T" * 256, "i", NewEvent("E", ""), "entityTypeName: .* has 256 characters"),
            ("s", "T", "a/b", NewEvent("E", ""), "entityId"),
            ("s", "T", "a\nb", NewEvent("E", ""), "entityId"),
            ("s", "T", "\ud800", NewEvent("E", ""), "entityId"),
            ("s", "T", "i", NewEvent("", ""), r"events\[0\].eventType"),
            ("s", "T", "i", NewEvent("E\0", ""), r"events\[0\].eventType"),
            ("s", "T", "i", NewEvent("E", "a\udfff"), r"events\[0\].eventData: .*surrogate"),
            ("s", "T", "i", NewEvent("E", "", "\ud800"), r"events\[0\].metadata: .*surrogate"),
            ("s", "T", "i", NewEvent("E", "x" * (1024 * 1024 + 1)), "1048577 bytes.*1048576"),
            ("s", "T", "i", NewEvent("E", "é" * (1024 * 512 + 1)), "1048578 bytes.*1048576"),
        ],
    )
    async def test_bad_names_and_data_are_named(
        self,
        store: EventStore,
        space: str,
        entity_type: str,
        entity_id: str,
        event: NewEvent,
        field: str,
    ) -> None:
        with pytest.raises(BadRequest, match=field):
            await store.create(space, entity_type, [event], entity_id=entity_id)

    async def test_a_snapshot_shortens_loading(self, store: EventStore) -> None:
        first = await store.create("default", ORDER, created())
        await store.append(
            "default",
            ORDER,
            first.entity_id,
            first.entity_version,
            created(),
            snapshot=NewSnapshot("State", "{}"),
        )
        entity = await store.load("default", ORDER, first.entity_id)
        assert entity.events == []
        assert entity.snapshot is not None

    # ── open and closed ───────────────────────────────────────────────────────────────────────

    async def test_it_may_be_opened_again_and_refuses_calls_in_between(self) -> None:
        store = await self.open()
        recorder = await self.subscribe(store, Recorder())
        first = await store.create("default", ORDER, created(1))
        await recorder.until_events(1)
        assert recorder.consumer is not None
        await recorder.consumer.flush()
        await self.shut(store)
        with pytest.raises(ServiceUnavailable):
            await store.create("default", ORDER, created(2))
        with pytest.raises(ServiceUnavailable):
            await store.load("default", ORDER, first.entity_id)
        with pytest.raises(ServiceUnavailable):
            await store.history("default", ORDER, first.entity_id)
        with pytest.raises(ServiceUnavailable):
            await store.subscribe("default", "view", SELECTION, Recorder())
        async with store:
            await store.create("default", ORDER, created(3))
            again = await self.subscribe(store, Recorder())
            await again.until_events(1)
            assert again.data == ["3"]

    # ── looking back, snapshots ───────────────────────────────────────────────────────────────

    async def test_a_history_is_whole_whatever_snapshot_there_is(self, store: EventStore) -> None:
        first = await store.create("default", ORDER, created(1), entity_id="a bü%2F")
        second = await store.append(
            "default", ORDER, first.entity_id, first.entity_version, created(2),
            snapshot=NewSnapshot("State", "{}"),
        )  # fmt: skip
        history = await store.history("default", ORDER, first.entity_id)
        assert [event.id for event in history] == first.event_ids + second.event_ids
        later = await store.history("default", ORDER, first.entity_id, after=first.entity_version)
        assert [event.id for event in later] == second.event_ids
        assert await store.history("default", ORDER, "none") == []
        assert await store.history("default", "None", "none") == []
        with pytest.raises(BadRequest, match="after: 'x' is not an id"):
            await store.history("default", ORDER, "one", after="x")

    async def test_a_snapshot_of_an_earlier_version(self, store: EventStore) -> None:
        first = await store.create("default", ORDER, created(1), entity_id="one")
        second = await store.append("default", ORDER, "one", first.entity_version, created(2))
        for version, json in ((first.entity_version, "1"), (second.entity_version, "2")):
            await store.store_snapshot("default", ORDER, "one", version, NewSnapshot("S", json))
            entity = await store.load("default", ORDER, "one")
            assert entity.snapshot is not None
            assert (entity.snapshot.entity_version, entity.snapshot.json) == (version, json)
        assert entity.events == []
        await store.store_snapshot(
            "default", ORDER, "one", first.entity_version, NewSnapshot("S", "late")
        )
        entity = await store.load("default", ORDER, "one")
        assert entity.snapshot is not None
        assert entity.snapshot.json == "2", "an older one is passed over"

    async def test_a_snapshot_of_what_is_not_there_is_refused(self, store: EventStore) -> None:
        first = await store.create("default", ORDER, created(1), entity_id="one")
        snapshot = NewSnapshot("S", "{}")
        for entity_id, version in (("one", "1-2"), ("two", first.entity_version)):
            with pytest.raises(NotFound, match="has no event"):
                await store.store_snapshot("default", ORDER, entity_id, version, snapshot)
        with pytest.raises(BadRequest, match="entityVersion"):
            await store.store_snapshot("default", ORDER, "one", "x", snapshot)
        with pytest.raises(BadRequest, match=r"snapshot\.json"):
            await store.store_snapshot(
                "default", ORDER, "one", "1-2", NewSnapshot("S", "x" * (1024 * 1024 + 1))
            )
        assert (await store.load("default", ORDER, "one")).snapshot is None

    # ── subscribe ─────────────────────────────────────────────────────────────────────────────

    async def subscribe(
        self,
        store: EventStore,
        recorder: Recorder,
        subscriber_id: str = "view",
        *,
        space: str = "default",
        selection: dict[str, list[str]] = SELECTION,
        durability: Durability = Durability.DURABLE,
        read_from: ReadFrom = ReadFrom.BEGINNING,
        progress_notifications: bool = False,
        ack_mode: AckMode = AckMode.INDIVIDUAL,
        policy: DeliveryPolicy | None = None,
    ) -> Recorder:
        recorder.consumer = await store.subscribe(
            space,
            subscriber_id,
            selection,
            recorder,
            durability=durability,
            read_from=read_from,
            progress_notifications=progress_notifications,
            ack_mode=ack_mode,
            policy=policy,
        )
        return recorder

    async def leave(self, recorder: Recorder) -> None:
        assert recorder.consumer is not None
        await recorder.consumer.flush()
        await recorder.consumer.close()

    async def test_past_and_coming_events_are_delivered_in_order(self, store: EventStore) -> None:
        one = await store.create("default", ORDER, created(0))
        recorder = await self.subscribe(store, Recorder())
        for number in range(1, 50):
            one = await store.append(
                "default", ORDER, one.entity_id, one.entity_version, created(number)
            )
        await recorder.until_events(50)
        assert recorder.data == [str(number) for number in range(50)]
        offsets = [delivery.offset for delivery in recorder.events]
        assert offsets == sorted(set(offsets))
        assert {d.event.event_id for d in recorder.events} >= set(one.event_ids)

    async def test_only_what_is_selected_is_delivered(self, store: EventStore) -> None:
        recorder = await self.subscribe(store, Recorder(), selection={ORDER: ["OrderApproved"]})
        await store.create("default", ORDER, created())
        await store.create("default", "Other", [NewEvent("OrderApproved", "wrong entity type")])
        await store.create("other", ORDER, [NewEvent("OrderApproved", "wrong space")])
        await store.create("default", ORDER, [NewEvent("OrderApproved", "right")])
        await recorder.until_events(1)
        assert recorder.data == ["right"]

    async def test_what_happened_while_away_is_delivered_on_return(self, store: EventStore) -> None:
        recorder = await self.subscribe(store, Recorder())
        await store.create("default", ORDER, created(1))
        await recorder.until_events(1)
        await self.leave(recorder)
        await store.create("default", ORDER, created(2))
        again = await self.subscribe(store, Recorder())
        await store.create("default", ORDER, created(3))
        await again.until_events(2)
        assert sorted(again.data) == ["2", "3"]

    async def test_a_restart_forgets_nothing_and_repeats_nothing(self) -> None:
        store = await self.open()
        recorder = await self.subscribe(store, Recorder())
        for number in range(20):
            await store.create("default", ORDER, created(number))
        await recorder.until_events(20)
        assert recorder.consumer is not None
        await recorder.consumer.flush()
        await self.shut(store)
        assert recorder.closed_because is not None
        store = await self.open()
        await store.create("default", ORDER, created(20))
        again = await self.subscribe(store, Recorder())
        await again.until_events(1)
        assert again.data == ["20"]
        await self.shut(store)

    async def test_unacknowledged_is_delivered_again(self, store: EventStore) -> None:
        recorder = await self.subscribe(store, Recorder(acknowledging=False))
        one = await store.create("default", ORDER, created(1))
        await store.append("default", ORDER, one.entity_id, one.entity_version, created(2))
        await recorder.until_events(2)
        recorder.acknowledge(recorder.events[1:])  # the second only: the first is in the way
        await self.leave(recorder)
        again = await self.subscribe(store, Recorder())
        await again.until_events(1)
        assert again.data[0] == "1"

    async def test_every_subscriber_gets_every_event(self, store: EventStore) -> None:
        first = await self.subscribe(store, Recorder(), "first")
        second = await self.subscribe(store, Recorder(), "second")
        for number in range(10):
            await store.create("default", ORDER, created(number))
        for recorder in (first, second):
            await recorder.until_events(10)
            assert sorted(recorder.data, key=int) == [str(number) for number in range(10)]

    async def test_consumers_share_and_the_rest_take_over(self, store: EventStore) -> None:
        first = await self.subscribe(store, Recorder())
        second = await self.subscribe(store, Recorder())
        for number in range(100):
            await store.create("default", ORDER, created(number))
        await first.until(lambda: len(first.events) > 0)
        await second.until(lambda: len(second.events) > 0)
        async with asyncio.timeout(20):
            while len(first.events) + len(second.events) < 100:
                await asyncio.sleep(0)
        assert not {d.swimlane for d in first.events} & {d.swimlane for d in second.events}
        await self.leave(first)
        before = len(second.events)
        for number in range(100, 150):
            await store.create("default", ORDER, created(number))
        await second.until_events(before + 50)
        assert sorted(second.data[before:], key=int) == [str(n) for n in range(100, 150)]
        assert len({delivery.swimlane for delivery in second.events}) == 8

    async def test_from_the_end_only_new_events_come(self, store: EventStore) -> None:
        await store.create("default", ORDER, created(1))
        recorder = await self.subscribe(store, Recorder(), read_from=ReadFrom.END)
        await store.create("default", ORDER, created(2))
        await recorder.until_events(1)
        assert recorder.data == ["2"]

    async def test_a_transient_subscription_ends_with_its_consumer(self, store: EventStore) -> None:
        recorder = await self.subscribe(store, Recorder(), durability=Durability.TRANSIENT)
        await store.create("default", ORDER, created(1))
        await recorder.until_events(1)
        await self.leave(recorder)
        again = await self.subscribe(store, Recorder(), durability=Durability.TRANSIENT)
        await again.until_events(1)
        assert again.data == ["1"]

    async def test_another_selection_goes_on_from_the_stored_positions(
        self, store: EventStore
    ) -> None:
        recorder = await self.subscribe(store, Recorder(), selection={ORDER: ["OrderCreated"]})
        one = await store.create("default", ORDER, created(1))
        await recorder.until_events(1)
        await asyncio.sleep(0)
        await self.leave(recorder)
        await store.append(
            "default", ORDER, one.entity_id, one.entity_version, [NewEvent("OrderApproved", "2")]
        )
        again = await self.subscribe(store, Recorder())
        await again.until_events(1)
        assert again.data == ["2"]

    @pytest.mark.parametrize("events", [0, 30])
    async def test_the_present_is_told_once_per_swimlane(
        self, store: EventStore, events: int
    ) -> None:
        for number in range(events):
            await store.create("default", ORDER, created(number))
        recorder = await self.subscribe(store, Recorder(), progress_notifications=True)
        await recorder.until(lambda: len(recorder.deliveries) == events + 8)
        told = [d for d in recorder.deliveries if d.event.event_type == END_OF_CURRENT_EVENTS]
        assert sorted(delivery.swimlane for delivery in told) == list(range(8))
        assert {delivery.event.event_data for delivery in told} == {"{}"}
        for lane in range(8):
            of_lane = [d for d in recorder.deliveries if d.swimlane == lane]
            assert of_lane[-1].event.event_type == END_OF_CURRENT_EVENTS

    async def test_cumulative_acknowledgement_covers_what_came_before(
        self, store: EventStore
    ) -> None:
        recorder = await self.subscribe(
            store, Recorder(acknowledging=False), ack_mode=AckMode.CUMULATIVE
        )
        for number in range(10):
            await store.create("default", ORDER, created(number))
        await recorder.until_events(10)
        recorder.acknowledge(recorder.events[6:7])
        await self.leave(recorder)
        again = await self.subscribe(store, Recorder())
        await again.until_events(3)
        assert sorted(again.data) == sorted(d.event.event_data for d in recorder.events[7:])

    async def test_a_cumulative_answer_does_not_cover_what_a_refusal_voided(
        self, store: EventStore
    ) -> None:
        one = await store.create("default", ORDER, created(0), entity_id="one")
        await store.append(
            "default", ORDER, "one", one.entity_version, [*created(1), *created(2), *created(3)]
        )
        await store.create("default", ORDER, [NewEvent("OrderCreated", "last")], entity_id="other")
        slow = DeliveryPolicy(first_pause=60)
        recorder = await self.subscribe(
            store,
            Recorder(acknowledging=False),
            ack_mode=AckMode.CUMULATIVE,
            policy=slow,
        )
        await recorder.until_events(5)
        assert recorder.consumer is not None
        by_data = {delivery.event.event_data: delivery for delivery in recorder.events}
        refused, last = by_data["1"], by_data["last"]
        assert refused.swimlane != last.swimlane
        assert recorder.consumer.refuse(refused.swimlane, refused.offset, "not now")
        recorder.acknowledge([last])
        await self.leave(recorder)
        again = await self.subscribe(store, Recorder())
        await again.until_events(3)
        assert again.data == ["1", "2", "3"]

    async def test_automatic_acknowledgement_needs_no_answer(self, store: EventStore) -> None:
        recorder = await self.subscribe(store, Recorder(acknowledging=False), ack_mode=AckMode.AUTO)
        for number in range(300):
            await store.create("default", ORDER, created(number))
        await recorder.until_events(300)
        await self.leave(recorder)
        await store.create("default", ORDER, created(300))
        again = await self.subscribe(store, Recorder())
        await again.until_events(1)
        assert again.data == ["300"]

    async def test_a_replay_equals_what_was_delivered_live(self, store: EventStore) -> None:
        live = await self.subscribe(store, Recorder(), "live")
        entities: list[Appended] = []
        for number in range(60):
            if number % 3 == 0:
                entities.append(await store.create("default", ORDER, created(number)))
            else:
                at = number % len(entities)
                entities[at] = await store.append(
                    "default",
                    ORDER,
                    entities[at].entity_id,
                    entities[at].entity_version,
                    [NewEvent("OrderApproved", str(number), "m")],
                )
        await live.until_events(60)
        replayed = await self.subscribe(store, Recorder(), "replayed")
        await replayed.until_events(60)

        def by_swimlane(recorder: Recorder) -> dict[int, list[object]]:
            lanes: dict[int, list[object]] = defaultdict(list)
            for each in recorder.events:
                event = each.event
                lanes[each.swimlane].append(
                    (
                        each.offset,
                        event.event_id,
                        event.entity_type,
                        event.entity_id,
                        event.event_type,
                        event.event_data,
                        event.metadata,
                    )
                )
            return lanes

        assert by_swimlane(live) == by_swimlane(replayed)

    async def test_a_refused_event_comes_again_with_its_successors_behind_it(
        self, store: EventStore
    ) -> None:
        policy = DeliveryPolicy(first_pause=0.02, longest_pause=0.02, max_attempts=1000)
        recorder = await self.subscribe(store, Recorder(acknowledging=False), policy=policy)
        one = await store.create("default", ORDER, created(0), entity_id="one")
        await store.append("default", ORDER, "one", one.entity_version, [*created(1), *created(2)])
        await recorder.until_events(3)
        assert recorder.consumer is not None
        first = recorder.events[0]
        assert recorder.consumer.refuse(first.swimlane, first.offset, "not yet")
        await recorder.until_events(4)
        assert recorder.data[3:] == ["0"]
        recorder.acknowledging = True
        recorder.acknowledge(recorder.events[3:])
        await recorder.until_events(6)
        assert recorder.data[3:] == ["0", "1", "2"]
        async with asyncio.timeout(PATIENCE):
            await recorder.consumer.caught_up()

    async def test_the_policy_decides_when_an_event_is_given_up(self, store: EventStore) -> None:
        policy = DeliveryPolicy(
            first_pause=0.01, longest_pause=0.01, max_attempts=2,
            on_dead_letter=OnDeadLetter.CONTINUE,
        )  # fmt: skip
        recorder = await self.subscribe(store, Recorder(acknowledging=False), policy=policy)
        one = await store.create("default", ORDER, created(0), entity_id="one")
        await recorder.until_events(1)
        await store.append("default", ORDER, "one", one.entity_version, created(1))
        assert recorder.consumer is not None
        while recorder.data[-1] == "0":
            last = recorder.events[-1]
            recorder.consumer.refuse(last.swimlane, last.offset, "never")
            count = len(recorder.events)
            await recorder.until(lambda: len(recorder.events) > count)  # noqa: B023
        assert recorder.data.count("0") <= 3
        assert recorder.data[-1] == "1"

    async def test_an_event_that_is_refused_for_good_is_given_up_at_once(
        self, store: EventStore
    ) -> None:
        # Were it to come again, it would not within the test's patience.
        policy = DeliveryPolicy(
            first_pause=600, longest_pause=600, on_dead_letter=OnDeadLetter.CONTINUE
        )
        recorder = await self.subscribe(store, Recorder(acknowledging=False), policy=policy)
        await store.create(
            "default", ORDER, [*created(0), *created(1), *created(2)], entity_id="one"
        )
        await recorder.until_events(3)
        assert recorder.consumer is not None
        first = recorder.events[0]
        assert recorder.consumer.refuse(first.swimlane, first.offset, "never", for_good=True)
        await recorder.until_events(5)
        assert recorder.data == ["0", "1", "2", "1", "2"]
        recorder.acknowledge(recorder.events[3:])
        async with asyncio.timeout(PATIENCE):
            await recorder.consumer.caught_up()

    @pytest.mark.parametrize("selection", [{}, {"Order": []}, {"Order": [], "Customer": []}])
    async def test_a_selection_of_nothing_is_refused(
        self, store: EventStore, selection: dict[str, list[str]]
    ) -> None:
        with pytest.raises(BadRequest, match=r"entityTypesAndEvents: \{.*\} names no event type"):
            await store.subscribe("default", "nothing", selection, Recorder())

    async def test_a_bad_policy_is_refused(self, store: EventStore) -> None:
        with pytest.raises(BadRequest, match="window: 0 is outside"):
            await self.subscribe(store, Recorder(), policy=DeliveryPolicy(window=0))

    async def test_caught_up_waits_for_the_last_acknowledgement(self, store: EventStore) -> None:
        for number in range(20):
            await store.create("default", ORDER, created(number))
        recorder = await self.subscribe(store, Recorder(acknowledging=False))
        assert recorder.consumer is not None
        waiting = asyncio.ensure_future(recorder.consumer.caught_up())
        await recorder.until_events(20)
        recorder.acknowledge(recorder.events[1:])
        await recorder.consumer.flush()
        assert not waiting.done()
        recorder.acknowledge(recorder.events[:1])
        async with asyncio.timeout(PATIENCE):
            await waiting
            await recorder.consumer.caught_up()

    async def test_caught_up_ends_with_the_subscription(self, store: EventStore) -> None:
        await store.create("default", ORDER, created())
        recorder = await self.subscribe(store, Recorder(acknowledging=False))
        await recorder.until_events(1)
        assert recorder.consumer is not None
        waiting = asyncio.ensure_future(recorder.consumer.caught_up())
        await asyncio.sleep(0)
        await recorder.consumer.close()
        with pytest.raises(ServiceUnavailable):
            await waiting

    async def test_a_subscription_tells_where_it_stands(self, store: EventStore) -> None:
        await store.create("default", ORDER, created())
        await store.create("default", ORDER, created())
        recorder = await self.subscribe(store, Recorder(acknowledging=False))
        await recorder.until_events(2)
        status = await store.inspect("default", "view")
        assert (status.lag, status.consumers, status.dead_letters) == (2, 1, 0)
        assert status.selection == {ORDER: ["OrderApproved", "OrderCreated"]}
        assert not await store.caught_up("default", "view", 0.01)
        recorder.acknowledge(recorder.events)
        assert await store.caught_up("default", "view", PATIENCE)
        assert (await store.inspect("default", "view")).lag == 0

    async def test_nobody_who_consumes_catches_up(self, store: EventStore) -> None:
        await store.create("default", ORDER, created())
        recorder = await self.subscribe(store, Recorder(acknowledging=False))
        assert recorder.consumer is not None
        await recorder.consumer.close()
        assert not await store.caught_up("default", "view", PATIENCE)
        assert (await store.inspect("default", "view")).consumers == 0

    async def test_a_deleted_subscription_begins_anew(self, store: EventStore) -> None:
        await store.create("default", ORDER, created())
        first = await self.subscribe(store, Recorder())
        async with asyncio.timeout(PATIENCE):
            assert first.consumer is not None
            await first.consumer.caught_up()
            await first.consumer.close()
        await store.delete_subscription("default", "view")
        await store.delete_subscription("default", "view")
        with pytest.raises(NotFound):
            await store.inspect("default", "view")
        with pytest.raises(NotFound):
            await store.caught_up("default", "view", 1)
        again = await self.subscribe(store, Recorder())
        await again.until_events(1)

    async def test_no_subscription_is_waited_for_too_long(self, store: EventStore) -> None:
        with pytest.raises(BadRequest, match=r"wait: 61 is outside 0..60 seconds"):
            await store.caught_up("default", "view", 61)
        with pytest.raises(BadRequest, match="subscriberId"):
            await store.inspect("default", "")
        with pytest.raises(BadRequest, match="space"):
            await store.delete_subscription("a/b", "view")

    @pytest.mark.parametrize("subscriber_id", ["", "x" * 256, 'a"b', "a\\b", "a\nb"])
    async def test_bad_subscriber_ids_are_named(
        self, store: EventStore, subscriber_id: str
    ) -> None:
        with pytest.raises(BadRequest, match="subscriberId"):
            await store.subscribe("default", subscriber_id, SELECTION, Recorder())

    async def test_a_selection_is_bounded(self, store: EventStore) -> None:
        many = {ORDER: [f"E{number}" for number in range(1001)]}
        with pytest.raises(BadRequest, match=r"1001 event types, over the limit .* of 1000"):
            await store.subscribe("default", "view", many, Recorder())
