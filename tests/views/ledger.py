"""The view of these tests: accounts and branches, from events that are made by hand."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from eventuary import Event
from eventuary.views import DELETE, Deletion, View, ViewContext
from eventuary.views.collection import DocumentUpdate
from eventuary.views.storage import DocumentStorage
from eventuary.views.view_event import ViewEvent
from tests.views.events_by_hand import BEGINNING, view_event


class AccountEvent(Event, entity="Account"):
    """Something happened to an account."""


class Opened(AccountEvent):
    """There is an account."""

    branch: str
    owner: str


class Paid(AccountEvent):
    """Something was paid into an account."""

    branch: str
    amount: Decimal


class Closed(AccountEvent):
    """An account is no more."""

    branch: str


class Spoilt(AccountEvent):
    """No update can bear it."""


class AccountDocument(msgspec.Struct):
    """An account; ``owner`` is empty until it is known."""

    account_id: str
    owner: str = ""
    balance: Decimal = Decimal(0)
    payments: list[Decimal] = []
    opened_at: datetime | None = None


class BranchDocument(msgspec.Struct, rename="camel"):
    """A branch, over all of its accounts."""

    branch_name: str
    accounts: int = 0
    total_paid: Decimal = Decimal(0)


class Ledger:
    """The view, and its collections."""

    def __init__(self, storage: DocumentStorage, name: str = "ledger") -> None:
        self.view = View(name, storage)
        self.kept = self.view.kept
        self.accounts = self.view.collection("accounts", AccountDocument)
        self.branches = self.view.collection("branches", BranchDocument)
        self.accounts.on(Opened)(_describe)
        self.accounts.on(Paid)(_pay)
        self.accounts.on(Closed)(_close)
        self.accounts.on(Spoilt)(_spoil)
        self.branches.on(Opened, key=lambda event: event.branch)(_count)
        self.branches.on(Paid, key=lambda event: event.branch)(_add)

    def event(
        self, position: int, event: AccountEvent, account: str = "a", *, swimlane: int = 0
    ) -> ViewEvent[DocumentUpdate]:
        """Return an event as it comes to the storage."""
        return view_event(self.view, position, event, account, swimlane=swimlane)

    async def account(self, generation: int, account: str = "a") -> AccountDocument | None:
        """Read an account."""
        return await self.kept.get(generation, self.accounts, account)

    async def branch(self, generation: int, branch: str = "b") -> BranchDocument | None:
        """Read a branch."""
        return await self.kept.get(generation, self.branches, branch)


def _describe(account: AccountDocument, event: Opened, context: ViewContext) -> None:
    account.owner = event.owner
    account.opened_at = context.time


def _pay(account: AccountDocument, event: Paid, _: ViewContext) -> None:
    account.balance += event.amount
    account.payments.append(event.amount)


def _close(_: AccountDocument, __: Closed, ___: ViewContext) -> Deletion:
    return DELETE


def _spoil(account: AccountDocument, _: Spoilt, __: ViewContext) -> None:
    account.owner = "half changed"
    raise ArithmeticError("it is spoilt")


def _count(branch: BranchDocument, _: Opened, __: ViewContext) -> None:
    branch.accounts += 1


def _add(branch: BranchDocument, event: Paid, _: ViewContext) -> None:
    branch.total_paid += event.amount


#: When the event at position 1 was stored.
FIRST = datetime.fromtimestamp((BEGINNING + 1) / 1000, UTC)
