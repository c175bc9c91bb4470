"""A view is rebuilt while it is read and fed: nothing is missed, nothing is seen to go back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from eventuary import EventStore, NotFound, ServiceUnavailable, running
from eventuary.testing import eventually
from eventuary.views import Progress, View, ViewContext, rebuild, rebuilding
from eventuary.views.collection import DocumentUpdate
from eventuary.views.declaration import Declaration
from eventuary.views.feeding import RunningView
from eventuary.views.generation import Generation, GenerationState
from eventuary.views.retiring import drop_generation, drop_retired
from eventuary.views.storage import DocumentStorage, KeptView
from tests.views.bank import open_account, open_accounts, pay
from tests.views.conftest import MakeStorage
from tests.views.ledger import BranchDocument, Ledger, Opened, Paid
from tests.views.removing import remove_all


async def _rebuild(ledger: Ledger, store: EventStore, *, restart: bool = False) -> int:
    async with asyncio.timeout(60):
        return await rebuild(ledger.view.declaration, ledger.kept, store, restart=restart)


async def _states(ledger: Ledger) -> dict[int, GenerationState]:
    return {each.number: each.state for each in await ledger.kept.generations()}


def _shows(work: RunningView[DocumentUpdate], number: int) -> bool:
    return work.shown == number


@asynccontextmanager
async def _opened(make_storage: MakeStorage) -> AsyncIterator[Ledger]:
    storage = make_storage()
    yield Ledger(storage)
    await storage.close()


async def test_a_rebuilt_view_has_the_same_content(
    store: EventStore, storage: DocumentStorage
) -> None:
    accounts = [await open_account(store, pay(number)) for number in range(50)]
    ledger = Ledger(storage)
    async with running(store, ledger.view) as run:
        await run.caught_up()
    before = [await ledger.account(1, each.entity_id) for each in accounts]
    assert await _rebuild(ledger, store) == 2
    assert [await ledger.account(2, each.entity_id) for each in accounts] == before
    assert await ledger.branch(2) == await ledger.branch(1)
    assert await _states(ledger) == {1: GenerationState.RETIRED, 2: GenerationState.LIVE}


async def test_a_view_is_fed_and_read_while_it_is_rebuilt(
    store: EventStore, make_storage: MakeStorage
) -> None:
    """Another process rebuilds it, three times; here, what was waited for is read each time."""
    async with _opened(make_storage) as ledger, _opened(make_storage) as elsewhere:
        rebuilt = asyncio.Event()

        async def write_and_read() -> int:
            opened = 0
            while not rebuilt.is_set():
                account = await open_account(store, pay(1))
                opened += 1
                await ledger.view.caught_up_with(account.entity_version)
                branch = await ledger.branches.get("b")
                assert branch is not None
                assert branch.accounts == opened
                assert await ledger.accounts.get(account.entity_id) is not None
            return opened

        async with running(store, ledger.view) as run:
            writing = asyncio.ensure_future(write_and_read())
            for number in (2, 3, 4):
                assert await _rebuild(elsewhere, store) == number
                await eventually(partial(_shows, run[ledger.view], number), within=60)
            rebuilt.set()
            opened = await writing
        assert opened > 3
        assert await ledger.branches.get("b") == BranchDocument("b", opened, Decimal(opened))


async def test_an_interrupted_rebuild_goes_on_from_where_it_was(
    lasting_store: EventStore, make_storage: MakeStorage
) -> None:
    await open_accounts(lasting_store, 300, pay(1))
    applied: list[int] = []

    async def build(most: int | None) -> None:
        async with _opened(make_storage) as ledger:

            @ledger.branches.on(Paid, key=lambda event: event.branch)
            def note(_: BranchDocument, __: Paid, context: ViewContext) -> None:
                if most is not None and len(applied) >= most:
                    raise InterruptedError("the process ends here")
                applied.append(context.position)

            building = asyncio.ensure_future(_rebuild(ledger, lasting_store))
            if most is None:
                assert await building == 2
                return
            await eventually(lambda: len(applied) >= most, within=60)
            building.cancel()
            with pytest.raises(asyncio.CancelledError):
                await building
            assert await _states(ledger) == {
                1: GenerationState.LIVE,
                2: GenerationState.BUILDING,
            }

    await build(100)
    first = len(applied)
    await build(None)
    async with _opened(make_storage) as ledger:
        assert await ledger.branch(2) == BranchDocument("b", 300, Decimal(300))
    # What was on disk was not done again: at most what the first had in hand when it ended.
    assert set(applied) == set(applied[:first]) | set(applied[first:])
    assert len(set(applied)) == 300


async def test_a_rebuild_may_begin_anew(
    lasting_store: EventStore, make_storage: MakeStorage
) -> None:
    await open_account(lasting_store, pay(1))
    async with _opened(make_storage) as ledger:
        await ledger.kept.open_live()
        number = await ledger.kept.open_building()
        await ledger.kept.apply(number, [ledger.event(10**9, Opened("b", "nobody"))])
        assert await _rebuild(ledger, lasting_store, restart=True) == 3
        assert await ledger.branch(3) == BranchDocument("b", 1, Decimal(1))


async def test_what_is_live_by_now_keeps_its_subscription(
    lasting_store: EventStore, make_storage: MakeStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has caught up, and switches, when this one is about to begin anew."""
    await open_account(lasting_store, pay(1))
    async with _opened(make_storage) as ledger, _opened(make_storage) as elsewhere:
        await ledger.kept.open_live()
        await ledger.kept.open_building()

        async def too_late(
            declaration: Declaration[Any],
            kept: KeptView[Any],
            store: EventStore,
            generation: Generation,
        ) -> None:
            monkeypatch.undo()
            assert await _rebuild(elsewhere, store) == 2
            try:
                await drop_generation(declaration, kept, store, generation)
            finally:
                await store.inspect("default", declaration.subscriber_id(generation))

        monkeypatch.setattr(rebuilding, "drop_generation", too_late)
        assert await _rebuild(ledger, lasting_store, restart=True) == 3
        assert await ledger.branch(2) == BranchDocument("b", 1, Decimal(1))
        assert await ledger.branch(3) == BranchDocument("b", 1, Decimal(1))


async def test_a_rebuild_that_another_one_gave_up_says_so(
    lasting_store: EventStore, make_storage: MakeStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _opened(make_storage) as ledger, _opened(make_storage) as elsewhere:
        switch = ledger.kept.switch

        async def too_late(number: int) -> None:
            await elsewhere.kept.drop(number)
            await switch(number)

        monkeypatch.setattr(ledger.kept, "switch", too_late)
        with pytest.raises(ServiceUnavailable, match=r"was ended: generation 2 .* is not fed"):
            await _rebuild(ledger, lasting_store)


async def test_a_rebuild_runs_the_updates_as_they_are_now(
    lasting_store: EventStore, make_storage: MakeStorage
) -> None:
    await open_account(lasting_store, pay(3))
    async with _opened(make_storage) as ledger, running(lasting_store, ledger.view) as run:
        await run.caught_up()
    storage = make_storage()
    view = View("ledger", storage)
    branches = view.collection("branches", BranchDocument)
    view.collection("accounts", BranchDocument)

    @branches.on(Paid, key=lambda event: event.branch)
    def count_twice(branch: BranchDocument, event: Paid, _: ViewContext) -> None:
        branch.total_paid += 2 * event.amount

    await rebuild(view.declaration, view.kept, lasting_store)
    assert await branches.get("b") == BranchDocument("b", 0, Decimal(6))
    await storage.close()


async def test_two_may_rebuild_at_once(store: EventStore, make_storage: MakeStorage) -> None:
    await open_accounts(store, 100, pay(1))
    async with _opened(make_storage) as one, _opened(make_storage) as other:
        numbers = await asyncio.gather(_rebuild(one, store), _rebuild(other, store))
        # Together; or the second when the first was done.
        assert set(numbers) <= {2, 3}
        assert await one.branch(max(numbers)) == BranchDocument("b", 100, Decimal(100))


async def test_what_is_retired_is_dropped_with_its_subscription(
    store: EventStore, storage: DocumentStorage
) -> None:
    await open_account(store, pay(1))
    ledger = Ledger(storage)
    async with running(store, ledger.view) as run:
        await run.caught_up()
        declaration = ledger.view.declaration
        [first] = await ledger.kept.generations()
        await _rebuild(ledger, store)
        await drop_retired(declaration, ledger.kept, store)
        assert 1 in await _states(ledger), "whoever reads it may not have noticed yet"
        await drop_retired(declaration, ledger.kept, store, kept_for=0)
        assert await _states(ledger) == {2: GenerationState.LIVE}
        with pytest.raises(NotFound):
            await store.inspect("default", declaration.subscriber_id(first))
        await eventually(lambda: run[ledger.view].shown == 2, within=60)
        assert await ledger.branches.get("b") == BranchDocument("b", 1, Decimal(1))


async def test_progress_is_told(lasting_store: EventStore, storage: DocumentStorage) -> None:
    await open_accounts(lasting_store, 20, pay(1))
    ledger = Ledger(storage)
    told: list[Progress] = []
    await rebuild(ledger.view.declaration, ledger.kept, lasting_store, report=told.append)
    assert {each.generation for each in told} == {2}
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert (told[-1].done, told[-1].left, told[-1].trouble) == (40, 0, None)


async def test_the_status_tells_of_a_rebuild(
    lasting_store: EventStore, make_storage: MakeStorage
) -> None:
    await open_account(lasting_store, pay(1))
    async with _opened(make_storage) as ledger:
        status = await ledger.view.status(lasting_store)
        assert (status.generation, status.processes, status.building) == (0, 0, None)
        async with running(lasting_store, ledger.view) as run:
            await run.caught_up()
            await ledger.kept.open_building()
            status = await ledger.view.status(lasting_store)
            assert (status.generation, status.lag, status.processes) == (1, 0, 1)
            assert (status.building, status.building_lag) == (2, None)


async def test_a_view_that_was_dropped_fills_itself_anew(
    store: EventStore, make_storage: MakeStorage
) -> None:
    """Somebody removes all of it from its database, while two processes feed it."""
    await open_accounts(store, 20, pay(1))
    async with (
        _opened(make_storage) as ledger,
        _opened(make_storage) as elsewhere,
        running(store, ledger.view) as run,
        running(store, elsewhere.view),
    ):
        await run.caught_up()
        [first] = await ledger.kept.generations()
        await remove_all(ledger)
        account = await open_account(store, pay(1))

        async def filled() -> None:
            assert await ledger.branches.get("b") == BranchDocument("b", 21, Decimal(21))
            assert await elsewhere.accounts.get(account.entity_id) is not None

        await eventually(filled, within=60)
        [again] = await ledger.kept.generations()
        assert again.tag != first.tag
        with pytest.raises(NotFound):
            await store.inspect("default", ledger.view.declaration.subscriber_id(first))
