"""Leases that end: what a server held is delivered by others, and not by itself."""

import asyncio

import pytest

from eventuary.delivery import tenancy
from eventuary.delivery.swimlane import Swimlane
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import Lease, Leasing, SwimlanePosition
from eventuary.engines.opening import open_engine
from eventuary.engines.postgres.leasing import LEASE_SECONDS
from tests.delivery.servers import (
    SELECTION,
    append,
    held,
    lease_seconds,
    leasing_class,
    shared_out,
    stores,
    subscribe,
    until,
)
from tests.event_store.recorder import Recorder

__all__ = ["lease_seconds", "leasing_class", "stores"]


@pytest.mark.parametrize("lease_seconds", [LEASE_SECONDS])
async def test_what_is_not_renewed_in_time_is_delivered_by_others_and_not_here(
    stores: list[EmbeddedEventStore],
) -> None:
    """A server that can't reach the database for long enough stops by its own clock."""
    stale = await subscribe(stores[0], Recorder(acknowledging=False))
    await shared_out(stores, 8, 0, 0)
    await append(stores[1], 0, "e", None)
    await stale.until_events(1)
    other = await subscribe(stores[1])
    keeper = stores[0]._dispatcher.tenancy
    assert keeper is not None
    for task in keeper._tasks:  # as if no renewal got through
        task.cancel()
    await shared_out(stores, 0, 8, 0)
    await until(lambda: set(other.data) == {"0"}, "the other delivers it again")
    assert stale.consumer is not None
    late = stale.events[0]
    assert not stale.consumer.acknowledge(late.swimlane, late.offset)
    await append(stores[0], 1, "f", None)
    await until(lambda: other.data[-1] == "1", "the other delivers what follows")
    # A machine that stands still ends leases too: then it comes again, and to the first as well.
    assert set(stale.data) == set(other.data[:-1]) == {"0"}


async def test_what_was_lost_by_a_late_renewal_is_not_kept_from_others(
    stores: list[EmbeddedEventStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the late server's in storage still, and by now more than its share."""
    await subscribe(stores[0])
    await shared_out(stores, 8, 0, 0)
    keeper = stores[0]._dispatcher.tenancy
    assert keeper is not None
    renew = keeper._renew
    is_late, goes_on = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        is_late.set()
        await goes_on.wait()
        await renew()

    monkeypatch.setattr(keeper, "_renew", late)
    await is_late.wait()
    keeper._lose_all()
    await subscribe(stores[1])
    [other] = stores[1]._dispatcher.open_subscriptions()
    tenure = other.tenure
    assert tenure is not None
    await until(lambda: tenure.announced, "the second is known")
    assert held(stores[0]) == held(stores[1]) == set()
    goes_on.set()
    await shared_out(stores, 4, 4, 0)


async def test_renewing_goes_on_after_what_nobody_has_foreseen(
    stores: list[EmbeddedEventStore],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without it the server would deliver nothing any more, and not say so."""
    leasing = stores[0].engine.leasing
    assert leasing is not None
    renew, failures = leasing.renew, [RuntimeError("nobody has foreseen it")]

    def failing() -> asyncio.Future[int]:
        if failures:
            raise failures.pop()
        return renew()

    monkeypatch.setattr(leasing, "renew", failing)
    await subscribe(stores[0])
    await shared_out(stores, 8, 0, 0)
    assert not failures
    assert "renewing this server's leases failed unexpectedly" in caplog.text


async def test_a_server_that_was_asleep_finds_out_before_it_delivers(
    stores: list[EmbeddedEventStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its timers have not run yet: the clock is asked with each delivery and each answer."""
    recorder = await subscribe(stores[0], Recorder(acknowledging=False))
    await shared_out(stores, 8, 0, 0)
    await append(stores[0], 0, "e", None)
    await recorder.until_events(1)
    now = tenancy._clock()
    monkeypatch.setattr("eventuary.delivery.tenancy._clock", lambda: now + 600.0)
    late = recorder.events[0]
    assert recorder.consumer is not None
    assert not recorder.consumer.acknowledge(late.swimlane, late.offset)
    assert held(stores[0]) == set()


async def test_a_notification_is_not_lost_with_a_lease(
    stores: list[EmbeddedEventStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wakes too late, just when a swimlane has reached the present: it is told all the same."""
    clock, reached_head = tenancy._clock, Swimlane.reached_head
    late: list[int] = []

    def wake_late(swimlane: Swimlane) -> None:
        if not late:
            late.append(swimlane.number)
            monkeypatch.setattr(tenancy, "_clock", lambda: clock() + 600.0)
            asyncio.get_running_loop().call_soon(monkeypatch.setattr, tenancy, "_clock", clock)
        reached_head(swimlane)

    monkeypatch.setattr(Swimlane, "reached_head", wake_late)
    recorder = Recorder()
    recorder.consumer = await stores[0].subscribe(
        "s", "view", SELECTION, recorder, progress_notifications=True
    )
    await recorder.until(lambda: {each.swimlane for each in recorder.deliveries} == set(range(8)))
    assert late


async def test_what_is_held_no_more_is_not_stored(
    postgres_url: str, leasing_class: type[Leasing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a stale server store a position or a dead letter all the same, nothing comes of it."""
    monkeypatch.setattr(leasing_class, "lease_seconds", 60.0)
    stale, present = open_engine(postgres_url), open_engine(postgres_url)
    await stale.start(lambda _: None)
    await present.start(lambda _: None)
    leases: list[Leasing] = []
    for engine in (stale, present):
        assert engine.leasing is not None
        leases.append(engine.leasing)
    store = EmbeddedEventStore(open_engine(postgres_url))
    async with store:
        recorder = await subscribe(store)
        assert recorder.consumer is not None
        await recorder.consumer.close()
    await leases[0].renew()
    [shared] = await leases[0].look([("s", "view")])
    assert shared is not None
    taken = await leases[0].take("s", "view", shared.leases)
    assert [each.swimlane for each in sorted(taken, key=_swimlane)] == list(range(8))
    # Held by the first: the second gets none of it, and can store nothing without a lease.
    await leases[1].renew()
    [seen] = await leases[1].look([("s", "view")])
    assert seen is not None
    assert await leases[1].take("s", "view", seen.leases) == []
    await present.store_positions([SwimlanePosition("s", "view", 0, 5)])
    await stale.store_positions([SwimlanePosition("s", "view", 1, 6, taken[1].epoch)])
    assert await _positions(stale) == (0, 6, 0, 0, 0, 0, 0, 0)
    # The first leaves; the second takes; the first still believes that it holds.
    await leases[0].leave()
    [seen] = await leases[1].look([("s", "view")])
    assert seen is not None
    assert {each.holder for each in seen.leases} == {None}
    retaken = sorted(await leases[1].take("s", "view", seen.leases), key=_swimlane)
    assert [each.position for each in retaken] == [0, 6, 0, 0, 0, 0, 0, 0]
    await stale.store_positions([SwimlanePosition("s", "view", 1, 7, taken[1].epoch)])
    await present.store_positions([SwimlanePosition("s", "view", 2, 8, retaken[2].epoch)])
    assert await _positions(stale) == (0, 6, 8, 0, 0, 0, 0, 0)
    assert await leases[1].renew() == await leases[1].renew()
    await stale.stop()
    await present.stop()


def _swimlane(lease: Lease) -> int:
    return lease.swimlane


async def _positions(engine: object) -> tuple[int, ...]:
    [record] = await engine.load_subscriptions("s", "view")  # type: ignore[attr-defined]
    return tuple(record.positions)
