"""A view follows the events of a store, and goes on whatever fails."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from eventuary import DeliveryPolicy, EventStore, OnDeadLetter, running
from eventuary.embedded import EmbeddedEventStore
from eventuary.testing import eventually, memory_store
from eventuary.views import View, ViewContext
from eventuary.views.sql import SqlDocuments
from eventuary.views.storage import DocumentStorage
from tests.views.bank import happen, open_account, open_accounts, pay
from tests.views.conftest import MakeStorage
from tests.views.ledger import AccountDocument, BranchDocument, Ledger, Opened, Paid, Spoilt

QUICK = DeliveryPolicy(max_attempts=2, first_pause=0.01, ack_timeout=86_400)


async def test_a_view_shows_what_happened_before_and_what_happens(
    store: EventStore, storage: DocumentStorage
) -> None:
    account = await open_account(store, pay(10))
    ledger = Ledger(storage)
    async with running(store, ledger.view) as run:
        await run.caught_up()
        document = await ledger.accounts.get(account.entity_id)
        assert document is not None
        assert (document.owner, document.balance) == ("Ada", Decimal(10))
        await happen(store, account, pay(5))
        await run[ledger.view].caught_up()
        assert await ledger.branches.get("b") == BranchDocument("b", 1, Decimal(15))


async def test_what_was_written_is_read_when_it_is_waited_for(
    store: EventStore, storage: DocumentStorage
) -> None:
    ledger = Ledger(storage)
    async with running(store, ledger.view):
        for number in range(1, 21):
            account = await open_account(store, pay(number))
            await ledger.view.caught_up_with(account.entity_version)
            document = await ledger.accounts.get(account.entity_id)
            assert document is not None
            assert document.balance == Decimal(number)
        # What was seen already is there at once; and a position will do as well.
        await ledger.view.caught_up_with(account.entity_version)
        await ledger.view.caught_up_with(5)


async def test_each_event_counts_once_however_often_a_view_starts(
    store: EventStore, make_storage: MakeStorage
) -> None:
    paid = 0
    for round_ in range(3):
        storage = make_storage()
        ledger = Ledger(storage)
        async with running(store, ledger.view) as run:
            for _ in range(20):
                await open_account(store, pay(1))
                paid += 1
            if round_ == 2:
                await run.caught_up()
        await storage.close()
    storage = make_storage()
    assert await Ledger(storage).branches.get("b") == BranchDocument("b", paid, Decimal(paid))
    await storage.close()


async def test_several_processes_share_a_view(store: EventStore, make_storage: MakeStorage) -> None:
    storages = [make_storage() for _ in range(3)]
    ledgers = [Ledger(each) for each in storages]

    async def appear_and_leave(ledger: Ledger) -> None:
        for _ in range(3):
            async with running(store, ledger.view):
                await asyncio.sleep(0.05)  # it takes its share, and leaves in the middle

    async def open_all() -> None:
        for _ in range(20):
            await open_accounts(store, 5, pay(1))

    async with running(store, ledgers[0].view) as run:
        await asyncio.gather(open_all(), *(appear_and_leave(each) for each in ledgers[1:]))
        async with asyncio.timeout(30):
            await run.caught_up()
    assert await ledgers[2].branches.get("b") == BranchDocument("b", 100, Decimal(100))
    for each in storages:
        await each.close()


async def test_an_event_that_fails_becomes_a_dead_letter_and_holds_its_swimlane_alone(
    lasting_store: EmbeddedEventStore, storage: DocumentStorage, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(storage)
    ledger.view.declaration.policy = QUICK
    spoilt = await open_account(lasting_store, Spoilt())
    others = await open_accounts(lasting_store, 30, pay(1))
    async with running(lasting_store, ledger.view):

        async def parked() -> None:
            status = await ledger.view.status(lasting_store)
            assert status.dead_letters == 1
            # It has all but what is in the swimlane of the dead letter.
            shown = [await ledger.accounts.get(each.entity_id) for each in others]
            missing = shown.count(None)
            assert status.lag == 1 + missing * 2
            assert missing < 20

        await eventually(parked, within=60)
        with pytest.raises(
            TimeoutError,
            match=r"view 'ledger' does not show '.*' after 0.05 seconds: it is \d+ events behind, "
            r"with 1 dead letters",
        ):
            await ledger.view.caught_up_with(spoilt.entity_version, timeout=0.05)
    assert "could not apply the event at position 2, it comes again: ArithmeticError" in caplog.text
    # The update was mended, and the process is started again.
    mended = View("ledger", storage)
    accounts = mended.collection("accounts", AccountDocument)
    accounts.on(Opened, Spoilt)(_note)
    accounts.on(Paid)(_pay)
    async with running(lasting_store, mended) as run:
        await lasting_store.subscriptions.replay("default", run[mended].subscriber_id, 2)
        async with asyncio.timeout(60):
            await run.caught_up()
        document = await accounts.get(spoilt.entity_id)
        assert document is not None
        assert document.owner == "noted"


def _note(account: AccountDocument, _: Opened | Spoilt, __: ViewContext) -> None:
    account.owner = "noted"


def _pay(account: AccountDocument, event: Paid, _: ViewContext) -> None:
    account.balance += event.amount


async def test_what_does_not_run_says_so(storage: DocumentStorage) -> None:
    ledger = Ledger(storage)
    with pytest.raises(RuntimeError, match="does not run in this process"):
        await ledger.view.caught_up_with("1-1")


async def test_a_view_is_read_where_it_is_not_fed(
    lasting_store: EventStore, make_storage: MakeStorage
) -> None:
    feeding, reading = make_storage(), make_storage()
    account = await open_account(lasting_store)
    ledger = Ledger(reading)
    assert await ledger.accounts.get(account.entity_id) is None
    async with running(lasting_store, Ledger(feeding).view) as run:
        await run.caught_up()
        assert await ledger.accounts.get(account.entity_id) is not None
    await feeding.close()
    await reading.close()


async def test_large_events_wait_in_the_store_and_not_in_memory(tmp_path: Path) -> None:
    """With 40 MB to come, no more than the limit and one batch is ever in hand."""
    storage = SqlDocuments(f"sqlite:///{tmp_path / 'views.db'}")
    ledger = Ledger(storage)
    most = 0
    async with memory_store() as store:
        for _ in range(40):
            await open_account(store, owner="x" * (1024 * 1024 - 100))
        async with running(store, ledger.view) as run:
            work = run[ledger.view]
            waiting = asyncio.ensure_future(run.caught_up())
            while not waiting.done():
                most = max(most, work.waiting_characters)
                await asyncio.sleep(0)
            await waiting
    assert 0 < most < 20 * 1024 * 1024
    await storage.close()


class TestWhatCanNotBeAView:
    def _storage(self) -> SqlDocuments:
        return SqlDocuments("sqlite:///none.db")

    @pytest.mark.parametrize("name", ["", "a b", "1a", "x" * 31, "ä"])
    def test_names(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"view: .* is not a name of 1 to 30 letters"):
            View(name, self._storage())

    def test_a_collection_twice(self) -> None:
        ledger = Ledger(self._storage())
        with pytest.raises(ValueError, match="view 'ledger' has a collection 'accounts' already"):
            ledger.view.collection("accounts", AccountDocument)

    def test_documents_that_need_more_than_a_key(self) -> None:
        with pytest.raises(TypeError, match="Opened can't be made from a key alone"):
            View("v", self._storage()).collection("opened", Opened)

    def test_no_events(self) -> None:
        view = View("v", self._storage())
        with pytest.raises(TypeError, match="view 'v' is changed by no event"):
            view.declaration.codec()
        with pytest.raises(TypeError, match="takes the event types"):
            view.collection("accounts", AccountDocument).on()

    def test_going_on_behind_a_dead_letter(self) -> None:
        policy = DeliveryPolicy(on_dead_letter=OnDeadLetter.CONTINUE)
        with pytest.raises(ValueError, match="on_dead_letter is 'continue'; a view waits"):
            View("v", self._storage(), policy=policy)

    def test_an_update_has_nothing_to_act_with(self) -> None:
        assert {each for each in dir(ViewContext) if not each.startswith("_")} == {
            "entity_id",
            "entity_type",
            "event_id",
            "metadata",
            "position",
            "swimlane",
            "time",
        }
