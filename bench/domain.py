"""The aggregate that the framework is measured with: an account, in our way."""

from eventuary import Aggregate, Event, apply


class AccountEvent(Event, entity="bench.Account"):
    """What happens to an account."""


class Opened(AccountEvent):
    """It begins."""

    owner: str


class Deposited(AccountEvent):
    """Money came in."""

    amount: int
    text: str


class Account(Aggregate):
    """Knows its balance."""

    owner: str = ""
    balance: int = 0

    @classmethod
    def open(cls, owner: str) -> Opened:
        """Begin."""
        return Opened(owner)

    def deposit(self, amount: int) -> Deposited:
        """Take money in."""
        return Deposited(amount, f"deposit to {self.owner}")

    @apply
    def _opened(self, event: Opened) -> None:
        self.owner = event.owner

    @apply
    def _deposited(self, event: Deposited) -> None:
        self.balance += event.amount
