"""What every storage of documents does. A new one inherits ``DocumentStorageContract``."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest

from eventuary.views import UnreadableDocument, View, ViewContext
from eventuary.views.generation import Generation, GenerationRetired, GenerationState
from eventuary.views.storage import DocumentStorage
from eventuary.views.view_event import UpdateFailed
from tests.views.events_by_hand import view_event
from tests.views.ledger import (
    FIRST,
    AccountDocument,
    BranchDocument,
    Closed,
    Ledger,
    Opened,
    Paid,
    Spoilt,
)

OPENED = Opened("b", "Ada")
TEN = Paid("b", Decimal("10.00"))


class NumberedBranch(msgspec.Struct, rename="camel"):
    """A branch as another version of the code has it: its accounts are a text."""

    branch_name: str
    accounts: str = ""


def _number(branch: NumberedBranch, _: Paid, __: ViewContext) -> None:
    branch.accounts += "1"


class DocumentStorageContract(ABC):
    """The tests. ``make`` returns a storage over the database of this test."""

    @abstractmethod
    def make(self) -> DocumentStorage:
        """Return a storage; a later call in the same test returns another over the same database,
        as another process has it.
        """

    @pytest.fixture
    async def storage(self) -> AsyncIterator[DocumentStorage]:
        storage = self.make()
        yield storage
        await storage.close()

    @pytest.fixture
    async def other(self) -> AsyncIterator[DocumentStorage]:
        storage = self.make()
        yield storage
        await storage.close()

    @pytest.fixture
    def ledger(self, storage: DocumentStorage) -> Ledger:
        return Ledger(storage)

    # ── Applying ──────────────────────────────────────────────────────────────────────────────

    async def test_a_group_changes_documents(self, ledger: Ledger) -> None:
        live = await ledger.kept.open_live()
        await ledger.kept.apply(live, [ledger.event(1, OPENED), ledger.event(2, TEN)])
        assert await ledger.account(live) == AccountDocument(
            "a", "Ada", Decimal("10.00"), [Decimal("10.00")], FIRST
        )
        assert await ledger.branch(live) == BranchDocument("b", 1, Decimal("10.00"))
        await ledger.kept.apply(live, [ledger.event(3, TEN)])
        assert await ledger.branch(live) == BranchDocument("b", 1, Decimal("20.00"))

    async def test_what_was_applied_is_passed_over(self, ledger: Ledger) -> None:
        live = await ledger.kept.open_live()
        group = [ledger.event(1, OPENED), ledger.event(2, TEN)]
        await ledger.kept.apply(live, group)
        await ledger.kept.apply(live, group)
        await ledger.kept.apply(live, [*group, ledger.event(7, TEN)])
        await ledger.kept.apply(live, [ledger.event(7, TEN)])
        assert await ledger.branch(live) == BranchDocument("b", 1, Decimal("20.00"))
        account = await ledger.account(live)
        assert account is not None
        assert account.payments == [Decimal("10.00")] * 2

    async def test_an_event_twice_in_one_group_counts_once(self, ledger: Ledger) -> None:
        live = await ledger.kept.open_live()
        await ledger.kept.apply(live, [ledger.event(2, TEN), ledger.event(2, TEN)])
        assert await ledger.branch(live) == BranchDocument("b", 0, Decimal("10.00"))

    async def test_swimlanes_have_their_own_positions(self, ledger: Ledger) -> None:
        live = await ledger.kept.open_live()
        await ledger.kept.apply(live, [ledger.event(9, TEN, swimlane=0)])
        await ledger.kept.apply(live, [ledger.event(4, TEN, "c", swimlane=1)])
        await ledger.kept.apply(live, [ledger.event(4, TEN, "c", swimlane=1)])
        assert await ledger.branch(live) == BranchDocument("b", 0, Decimal("20.00"))

    async def test_what_comes_first_makes_the_document(self, ledger: Ledger) -> None:
        live = await ledger.kept.open_live()
        await ledger.kept.apply(live, [ledger.event(2, TEN, swimlane=1)])
        account = await ledger.account(live)
        assert account is not None
        assert account.owner == ""
        await ledger.kept.apply(live, [ledger.event(1, OPENED, swimlane=0)])
        assert await ledger.account(live) == AccountDocument(
            "a", "Ada", Decimal("10.00"), [Decimal("10.00")], FIRST
        )

    async def test_a_deleted_document_is_gone_and_may_return(self, ledger: Ledger) -> None:
        live = await ledger.kept.open_live()
        first = [ledger.event(1, OPENED), ledger.event(2, TEN), ledger.event(3, Closed("b"))]
        await ledger.kept.apply(live, first[:2])
        await ledger.kept.apply(live, first[2:])
        assert await ledger.account(live) is None
        await ledger.kept.apply(live, first)
        assert await ledger.account(live) is None
        await ledger.kept.apply(live, [ledger.event(4, TEN)])
        account = await ledger.account(live)
        assert account == AccountDocument("a", "", Decimal("10.00"), [Decimal("10.00")])

    async def test_a_document_made_and_deleted_in_one_group_never_was(self, ledger: Ledger) -> None:
        live = await ledger.kept.open_live()
        group = [ledger.event(1, OPENED), ledger.event(2, Closed("b"))]
        await ledger.kept.apply(live, group)
        await ledger.kept.apply(live, group)
        assert await ledger.account(live) is None
        assert await ledger.branch(live) == BranchDocument("b", 1)

    async def test_a_failure_names_its_event_and_the_rest_can_go_on(self, ledger: Ledger) -> None:
        live = await ledger.kept.open_live()
        good = [ledger.event(1, OPENED), ledger.event(2, TEN)]
        with pytest.raises(UpdateFailed, match="ArithmeticError: it is spoilt") as failed:
            await ledger.kept.apply(live, [*good, ledger.event(5, Spoilt(), swimlane=3)])
        assert (failed.value.swimlane, failed.value.position) == (3, 5)
        await ledger.kept.apply(live, good)
        account = await ledger.account(live)
        assert account is not None
        assert (account.owner, account.balance) == ("Ada", Decimal("10.00"))
        assert await ledger.branch(live) == BranchDocument("b", 1, Decimal("10.00"))

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\0b", "a\ud800b"])
    async def test_a_key_that_can_not_be_one_is_the_events_failure(
        self, ledger: Ledger, key: str
    ) -> None:
        live = await ledger.kept.open_live()
        with pytest.raises(UpdateFailed, match=r"key: .* of collection 'branches' is not text of"):
            await ledger.kept.apply(live, [ledger.event(1, Opened(key, "Ada"))])
        assert await ledger.branches.get(key) is None

    async def test_what_has_another_shape_by_now_is_named(
        self, ledger: Ledger, storage: DocumentStorage
    ) -> None:
        live = await ledger.kept.open_live()
        await ledger.kept.apply(live, [ledger.event(1, OPENED), ledger.event(2, TEN)])
        view = View("ledger", storage)
        branches = view.collection("branches", NumberedBranch)
        branches.on(Paid, key=lambda event: event.branch)(_number)
        said = r"'b' of collection 'branches' can't be read as NumberedBranch: .*; rebuild the view"
        with pytest.raises(UnreadableDocument, match=said):
            await view.kept.get(live, branches, "b")
        with pytest.raises(UpdateFailed, match=said):
            await view.kept.apply(live, [view_event(view, 3, TEN, "a")])

    async def test_keys_are_what_they_are(self, ledger: Ledger) -> None:
        live = await ledger.kept.open_live()
        keys = ["a", "A", "a ", "ä", "a\u0308", "ß", "SS", "$a.b", "'\"\\", "日本", "x" * 255, "😀"]
        group = [
            ledger.event(number, Paid(key, Decimal(number)), key)
            for number, key in enumerate(keys, 1)
        ]
        await ledger.kept.apply(live, group)
        for number, key in enumerate(keys, 1):
            assert await ledger.branch(live, key) == BranchDocument(key, 0, Decimal(number))
            assert (await ledger.account(live, key)) is not None

    async def test_a_group_may_be_large(self, ledger: Ledger) -> None:
        live = await ledger.kept.open_live()
        group = [
            ledger.event(number, Paid(f"b{number % 3}", Decimal(1)), f"a{number}")
            for number in range(1, 1301)
        ]
        await ledger.kept.apply(live, group)
        await ledger.kept.apply(live, group[650:])
        assert await ledger.branch(live, "b0") == BranchDocument("b0", 0, Decimal(433))
        account = await ledger.account(live, "a1300")
        assert account is not None

    # ── Several processes ─────────────────────────────────────────────────────────────────────

    async def test_two_at_once_apply_a_group_once(
        self, ledger: Ledger, other: DocumentStorage
    ) -> None:
        live = await ledger.kept.open_live()
        second = Ledger(other)
        for round_ in range(10):
            group = [
                ledger.event(round_ * 10 + number, TEN, f"a{number}", swimlane=number % 2)
                for number in range(1, 9)
            ]
            await asyncio.gather(
                ledger.kept.apply(live, group),
                second.kept.apply(live, group),
                ledger.kept.apply(live, group),
            )
        assert await ledger.branch(live) == BranchDocument("b", 0, Decimal("800.00"))

    async def test_two_at_once_change_one_document(
        self, ledger: Ledger, other: DocumentStorage
    ) -> None:
        live = await ledger.kept.open_live()

        async def pay(through: Ledger, swimlane: int) -> None:
            for position in range(1, 31):
                await through.kept.apply(
                    live, [through.event(position, TEN, f"a{swimlane}", swimlane=swimlane)]
                )

        await asyncio.gather(pay(ledger, 0), pay(Ledger(other), 1), pay(ledger, 2))
        assert await ledger.branch(live) == BranchDocument("b", 0, Decimal("900.00"))

    # ── Generations ───────────────────────────────────────────────────────────────────────────

    async def test_the_first_generation_is_live_at_once(
        self, ledger: Ledger, other: DocumentStorage
    ) -> None:
        assert not await ledger.kept.generations()
        second = Ledger(other)
        opened = await asyncio.gather(
            *(each.kept.open_live() for each in (ledger, second, ledger, second))
        )
        assert list(opened) == [1, 1, 1, 1]
        generation = (await second.kept.generations())[0]
        assert (generation.number, generation.state) == (1, GenerationState.LIVE)

    async def test_a_generation_is_built_beside_the_live_one(
        self, ledger: Ledger, other: DocumentStorage
    ) -> None:
        live = await ledger.kept.open_live()
        await ledger.kept.apply(live, [ledger.event(1, OPENED)])
        second = Ledger(other)
        built = await asyncio.gather(
            ledger.kept.open_building(), second.kept.open_building(), second.kept.open_building()
        )
        assert list(built) == [2, 2, 2]
        await second.kept.apply(2, [second.event(1, TEN)])
        assert await ledger.branch(1) == BranchDocument("b", 1)
        assert await ledger.branch(2) == BranchDocument("b", 0, Decimal("10.00"))
        assert await ledger.kept.open_live() == 1

    async def test_a_switch_retires_what_was_live(self, ledger: Ledger) -> None:
        await ledger.kept.open_live()
        await ledger.kept.apply(1, [ledger.event(1, OPENED)])
        number = await ledger.kept.open_building()
        await ledger.kept.apply(number, [ledger.event(1, TEN)])
        await ledger.kept.switch(number)
        await ledger.kept.switch(number)
        assert _states(await ledger.kept.generations()) == {
            1: GenerationState.RETIRED,
            2: GenerationState.LIVE,
        }
        with pytest.raises(GenerationRetired):
            await ledger.kept.apply(1, [ledger.event(2, TEN)])
        assert await ledger.branch(1) == BranchDocument("b", 1)
        await ledger.kept.apply(2, [ledger.event(2, TEN)])
        with pytest.raises(GenerationRetired):
            await ledger.kept.switch(1)
        assert await ledger.kept.open_building() == 3

    async def test_a_retired_generation_is_neither_fed_nor_switched_to(
        self, ledger: Ledger, other: DocumentStorage
    ) -> None:
        live = await ledger.kept.open_live()
        number = await ledger.kept.open_building()
        await ledger.kept.apply(number, [ledger.event(1, OPENED)])
        with pytest.raises(ValueError, match="is live"):
            await ledger.kept.retire(live)
        await ledger.kept.retire(number)
        before = await ledger.kept.generations()
        assert _states(before) == {live: GenerationState.LIVE, number: GenerationState.RETIRED}
        await Ledger(other).kept.retire(number)
        assert await ledger.kept.generations() == before
        with pytest.raises(GenerationRetired):
            await ledger.kept.apply(number, [ledger.event(2, TEN)])
        with pytest.raises(GenerationRetired):
            await ledger.kept.switch(number)
        assert await ledger.branch(number) == BranchDocument("b", 1)
        await ledger.kept.drop(number)
        await ledger.kept.retire(number)
        await ledger.kept.retire(number + 1)
        assert _states(await ledger.kept.generations()) == {live: GenerationState.LIVE}

    async def test_a_dropped_generation_is_gone(self, ledger: Ledger) -> None:
        await ledger.kept.open_live()
        await ledger.kept.apply(1, [ledger.event(1, OPENED)])
        with pytest.raises(ValueError, match="is live"):
            await ledger.kept.drop(1)
        await ledger.kept.open_building()
        await ledger.kept.switch(2)
        await ledger.kept.drop(1)
        await ledger.kept.drop(1)
        assert _states(await ledger.kept.generations()) == {2: GenerationState.LIVE}
        assert await ledger.account(1) is None
        with pytest.raises(GenerationRetired):
            await ledger.kept.apply(1, [ledger.event(2, TEN)])

    async def test_a_generation_that_is_built_again_begins_empty(self, ledger: Ledger) -> None:
        await ledger.kept.open_live()
        number = await ledger.kept.open_building()
        await ledger.kept.apply(number, [ledger.event(1, OPENED)])
        await ledger.kept.drop(number)
        again = await ledger.kept.open_building()
        assert again > number, "whoever fed that one must not take this for it"
        assert await ledger.account(again) is None
        await ledger.kept.apply(again, [ledger.event(1, OPENED)])
        assert await ledger.branch(again) == BranchDocument("b", 1)

    async def test_views_are_apart(self, ledger: Ledger, storage: DocumentStorage) -> None:
        await ledger.kept.open_live()
        await ledger.kept.apply(1, [ledger.event(1, OPENED)])
        second = Ledger(storage, "ledger-2")
        assert await second.kept.generations() == []
        await second.kept.open_live()
        assert await second.account(1) is None
        await second.kept.apply(1, [second.event(1, OPENED)])
        assert await second.branch(1) == BranchDocument("b", 1)

    async def test_nothing_is_there_before_a_view_was_fed(self, ledger: Ledger) -> None:
        assert await ledger.accounts.get("a") is None
        assert await ledger.account(1) is None


def _states(generations: list[Generation]) -> dict[int, GenerationState]:
    return {each.number: each.state for each in generations}
