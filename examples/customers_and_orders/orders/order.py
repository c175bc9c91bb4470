"""Order: created, then approved or rejected, and cancelled at any time until it is rejected.

    CREATED ──▶ APPROVED ──▶ CANCELLED
       │ └────────────────────▲
       └──▶ REJECTED

An order that is cancelled before its answer has come stays cancelled whatever the answer is; the
customer service, which learns of both in their order, then holds nothing for it.
"""

from decimal import Decimal
from enum import StrEnum

from customers_and_orders.events.orders import (
    OrderApproved,
    OrderCancelled,
    OrderCreated,
    OrderRejected,
    RejectionReason,
)
from eventuary import Aggregate, apply


class OrderState(StrEnum):
    """Where an order stands."""

    CREATED = "CREATED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


class CancelledTooLate(Exception):
    """A rejected order can't be cancelled: there is nothing to cancel."""


class Order(Aggregate):
    """What one customer wants at one time."""

    state: OrderState
    customer_id: str
    order_total: Decimal
    rejection_reason: RejectionReason | None = None

    @classmethod
    def create(cls, customer_id: str, order_total: Decimal) -> OrderCreated:
        """Place an order."""
        return OrderCreated(customer_id, order_total)

    def approve(self) -> OrderApproved | None:
        """Let it be, if that is still open."""
        if self.state is not OrderState.CREATED:
            return None
        return OrderApproved(self.customer_id, self.order_total)

    def reject(self, reason: RejectionReason) -> OrderRejected | None:
        """Let it not be, if that is still open."""
        if self.state is not OrderState.CREATED:
            return None
        return OrderRejected(self.customer_id, reason)

    def cancel(self) -> OrderCancelled | None:
        """Withdraw it; the second time changes nothing. Raises CancelledTooLate."""
        if self.state is OrderState.REJECTED:
            raise CancelledTooLate(f"order {self.id} was rejected: {self.rejection_reason}")
        return None if self.state is OrderState.CANCELLED else OrderCancelled(self.customer_id)

    @apply
    def _created(self, event: OrderCreated) -> None:
        self.state = OrderState.CREATED
        self.customer_id = event.customer_id
        self.order_total = event.order_total

    @apply
    def _approved(self, _: OrderApproved) -> None:
        self.state = OrderState.APPROVED

    @apply
    def _rejected(self, event: OrderRejected) -> None:
        self.state = OrderState.REJECTED
        self.rejection_reason = event.reason

    @apply
    def _cancelled(self, _: OrderCancelled) -> None:
        self.state = OrderState.CANCELLED
