"""Customer: a credit limit, and the credit that is held for orders, which is never above it."""

from decimal import Decimal

from customers_and_orders.events.customers import (
    CreditLimitExceeded,
    CreditReleased,
    CreditReserved,
    CustomerCreated,
)
from eventuary import Aggregate, EveryEvents, apply


class Customer(Aggregate, snapshots=EveryEvents(50)):
    """Its id is made when it is created, so nobody orders for a customer who comes later.

    Its history grows with every order, so a load begins with a snapshot.
    """

    name: str
    credit_limit: Decimal
    #: What is held, by order.
    reservations: dict[str, Decimal]

    @property
    def available_credit(self) -> Decimal:
        """What may still be reserved."""
        return self.credit_limit - sum(self.reservations.values())

    @classmethod
    def create(cls, name: str, credit_limit: Decimal) -> CustomerCreated:
        """Let there be a customer."""
        return CustomerCreated(name, credit_limit)

    def reserve_credit(
        self, order_id: str, amount: Decimal
    ) -> CreditReserved | CreditLimitExceeded | None:
        """Hold credit for an order, if there is enough; once, however often it is asked for."""
        if order_id in self.reservations:
            return None
        if amount > self.available_credit:
            return CreditLimitExceeded(order_id, amount)
        return CreditReserved(order_id, amount)

    def release_credit(self, order_id: str) -> CreditReleased | None:
        """Free what is held for an order, if anything is."""
        held = self.reservations.get(order_id)
        return None if held is None else CreditReleased(order_id, held)

    @apply
    def _created(self, event: CustomerCreated) -> None:
        self.name = event.name
        self.credit_limit = event.credit_limit
        self.reservations = {}

    @apply
    def _reserved(self, event: CreditReserved) -> None:
        self.reservations[event.order_id] = event.amount

    @apply
    def _exceeded(self, event: CreditLimitExceeded) -> None:
        """Nothing is held; that it was asked for is in the history."""

    @apply
    def _released(self, event: CreditReleased) -> None:
        del self.reservations[event.order_id]
