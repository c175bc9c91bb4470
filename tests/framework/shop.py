"""Orders and customers' credit: two aggregates that stay consistent through events alone.

What the tests of this folder, and those of the testing kit, play with.
"""

from decimal import Decimal
from enum import Enum

from eventuary import Aggregate, Context, Event, Subscriber, apply


class OrderEvent(Event, entity="orders.Order"): ...


class OrderCreated(OrderEvent):
    customer_id: str
    total: Decimal


class OrderApproved(OrderEvent): ...


class OrderRejected(OrderEvent):
    reason: str


class OrderCancelled(OrderEvent):
    customer_id: str


class CustomerEvent(Event, entity="customers.Customer"): ...


class CustomerCreated(CustomerEvent):
    limit: Decimal


class CreditReserved(CustomerEvent):
    order_id: str
    amount: Decimal


class CreditLimitExceeded(CustomerEvent):
    order_id: str


class CreditReleased(CustomerEvent):
    order_id: str


class OrderState(Enum):
    CREATED = "created"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class NotToBeCancelled(Exception):
    """Only an approved order can be cancelled."""


class Order(Aggregate):
    customer_id: str
    total: Decimal
    state: OrderState

    @classmethod
    def create(cls, customer_id: str, total: Decimal) -> OrderCreated:
        return OrderCreated(customer_id, total)

    def approve(self) -> OrderApproved | None:
        return OrderApproved() if self.state is OrderState.CREATED else None

    def reject(self, reason: str) -> OrderRejected | None:
        return OrderRejected(reason) if self.state is OrderState.CREATED else None

    def cancel(self) -> OrderCancelled | None:
        if self.state is OrderState.CANCELLED:
            return None
        if self.state is not OrderState.APPROVED:
            raise NotToBeCancelled(f"the order is {self.state.value}, not approved")
        return OrderCancelled(self.customer_id)

    @apply
    def _created(self, event: OrderCreated) -> None:
        self.customer_id = event.customer_id
        self.total = event.total
        self.state = OrderState.CREATED

    @apply
    def _approved(self, _: OrderApproved) -> None:
        self.state = OrderState.APPROVED

    @apply
    def _rejected(self, _: OrderRejected) -> None:
        self.state = OrderState.REJECTED

    @apply
    def _cancelled(self, _: OrderCancelled) -> None:
        self.state = OrderState.CANCELLED


class Customer(Aggregate):
    limit: Decimal
    reserved: dict[str, Decimal]

    @classmethod
    def create(cls, limit: Decimal) -> CustomerCreated:
        return CustomerCreated(limit)

    @property
    def available(self) -> Decimal:
        return self.limit - sum(self.reserved.values())

    def reserve_credit(
        self, order_id: str, amount: Decimal
    ) -> CreditReserved | CreditLimitExceeded:
        if amount > self.available:
            return CreditLimitExceeded(order_id)
        return CreditReserved(order_id, amount)

    def release_credit(self, order_id: str) -> CreditReleased | None:
        return CreditReleased(order_id) if order_id in self.reserved else None

    @apply
    def _created(self, event: CustomerCreated) -> None:
        self.limit = event.limit
        self.reserved = {}

    @apply
    def _reserved(self, event: CreditReserved) -> None:
        self.reserved[event.order_id] = event.amount

    @apply
    def _released(self, event: CreditReleased) -> None:
        del self.reserved[event.order_id]

    @apply
    def _exceeded(self, _: CreditLimitExceeded) -> None: ...


customer_service = Subscriber("customer-service")
order_service = Subscriber("order-service")


@customer_service.on(OrderCreated)
async def reserve_credit(event: OrderCreated, context: Context) -> None:
    await context.update(
        Customer, event.customer_id, Customer.reserve_credit, context.entity_id, event.total
    )


@customer_service.on(OrderCancelled)
async def release_credit(event: OrderCancelled, context: Context) -> None:
    await context.update(Customer, event.customer_id, Customer.release_credit, context.entity_id)


@order_service.on(CreditReserved)
async def approve(event: CreditReserved, context: Context) -> None:
    await context.update(Order, event.order_id, Order.approve)


@order_service.on(CreditLimitExceeded)
async def reject(event: CreditLimitExceeded, context: Context) -> None:
    await context.update(Order, event.order_id, Order.reject, "credit limit exceeded")
