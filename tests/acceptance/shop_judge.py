"""The laws of Place Order, as a judge who reads the log: what must hold always, and at rest.

It folds the log in its own way, with nothing of the services' code.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from tests.acceptance.shop import (
    CREDIT_CHECK,
    CUSTOMER,
    ORDER,
    CustomerInHistory,
    Logged,
    OrderInHistory,
)

#: Which events an order may have after which, None being none.
_LIVES = {
    None: {"OrderCreated"},
    "OrderCreated": {"OrderApproved", "OrderRejected", "OrderCancelled"},
    "OrderApproved": {"OrderCancelled"},
    "OrderRejected": set(),
    "OrderCancelled": set(),
}

_STATES = {
    "OrderCreated": "CREATED",
    "OrderApproved": "APPROVED",
    "OrderRejected": "REJECTED",
    "OrderCancelled": "CANCELLED",
}


class JudgedOrder(msgspec.Struct):
    """An order as the log tells it."""

    order_id: str
    customer_id: str
    total: Decimal
    created_at: str  #: the id of its first event
    types: list[str]
    reason: str | None = None

    @property
    def state(self) -> str:
        """Its present state."""
        return _STATES[self.types[-1]]


class JudgedCustomer(msgspec.Struct):
    """A customer as the log tells it."""

    name: str
    limit: Decimal
    reserved: dict[str, Decimal]


class ShopJudge:
    """Give it the log, piece by piece. Whatever breaks a law is an AssertionError."""

    def __init__(self) -> None:
        self.orders: dict[str, JudgedOrder] = {}
        self.customers: dict[str, JudgedCustomer] = {}
        self.position = 0
        #: How many events there were of each type.
        self.counts: Counter[str] = Counter()
        #: What the customer service answered to each order: it does so once.
        self._answers: dict[str, str] = {}
        self._applied: set[tuple[str, str, str]] = set()

    def read(self, log: Iterable[Logged]) -> None:
        """Judge what is new in the log: every prefix of it has to keep the laws."""
        for event in log:
            if event.position <= self.position:
                continue
            self.position = event.position
            self.counts[event.event_type] += 1
            token = event.triggering_event_token
            if token is not None:
                applied = (event.entity_type, event.entity_id, token)
                assert applied not in self._applied, f"{token} was applied twice: {event}"
                self._applied.add(applied)
            if event.entity_type == ORDER:
                self._order(event)
            elif event.entity_type == CUSTOMER:
                self._customer(event)
            elif event.entity_type == CREDIT_CHECK:
                assert event.data["customer_id"] not in self.customers, event
                self._answer(event.entity_id, event)

    def check_at_rest(self) -> None:
        """When nothing is under way, orders are decided, and exactly the approved ones are held."""
        approved: dict[str, dict[str, Decimal]] = {each: {} for each in self.customers}
        for order_id, order in self.orders.items():
            assert order.state != "CREATED", f"order {order_id} is still open"
            assert order_id in self._answers, f"order {order_id} was never answered"
            if order.state == "APPROVED":
                approved[order.customer_id][order_id] = order.total
        for customer_id, customer in self.customers.items():
            assert customer.reserved == approved[customer_id], f"customer {customer_id}"

    def of(self, state: str) -> set[str]:
        """Return the ids of the orders in this state."""
        return {each for each, order in self.orders.items() if order.state == state}

    def approved_ever(self) -> set[str]:
        """Return the ids of the orders that were approved, whatever became of them."""
        return {each for each, order in self.orders.items() if "OrderApproved" in order.types}

    def check_history(self, shown: CustomerInHistory, *, recent: int = 100) -> None:
        """Compare a customer's document with what the log tells."""
        customer = self.customers[shown.customer_id]
        orders = [each for each in self.orders.values() if each.customer_id == shown.customer_id]
        orders.sort(key=lambda each: (each.created_at[:16], each.order_id), reverse=True)
        assert (shown.name, shown.credit_limit) == (customer.name, customer.limit)
        assert shown.credit_reserved == sum(customer.reserved.values())
        assert len(shown.orders) == min(recent, len(orders))
        for line, order in zip(shown.orders, orders, strict=False):
            self.check_order(line, order)

    def check_order(self, shown: OrderInHistory, order: JudgedOrder) -> None:
        """Compare an order's document with what the log tells."""
        assert (shown.order_id, shown.customer_id) == (order.order_id, order.customer_id)
        assert shown.order_total == order.total
        assert (shown.state, shown.rejection_reason) == (order.state, order.reason)

    def _order(self, event: Logged) -> None:
        order = self.orders.get(event.entity_id)
        last = None if order is None else order.types[-1]
        assert event.event_type in _LIVES[last], f"{event} after {last}"
        data = event.data
        if order is None:
            # The first version of the event named it otherwise (test_f7_growing_old.py).
            total = Decimal(data["order_total"] if "order_total" in data else data["total"])
            self.orders[event.entity_id] = JudgedOrder(
                event.entity_id, data["customer_id"], total, event.id, ["OrderCreated"]
            )
            return
        order.types.append(event.event_type)
        assert data["customer_id"] == order.customer_id, event
        answer = self._answers.get(event.entity_id)
        if event.event_type == "OrderApproved":
            assert answer == "CreditReserved", f"{event} after {answer}"
        elif event.event_type == "OrderRejected":
            order.reason = data["reason"]
            wanted = {
                "CREDIT_LIMIT_EXCEEDED": "CreditLimitExceeded",
                "UNKNOWN_CUSTOMER": "CustomerUnknown",
            }[order.reason]
            assert answer == wanted, f"{event} after {answer}"

    def _customer(self, event: Logged) -> None:
        data = event.data
        if event.event_type == "CustomerCreated":
            assert event.entity_id not in self.customers, event
            limit = Decimal(data["credit_limit"])
            self.customers[event.entity_id] = JudgedCustomer(data["name"], limit, {})
            return
        customer = self.customers[event.entity_id]
        order_id, amount = data["order_id"], Decimal(data["amount"])
        order = self.orders[order_id]
        assert (order.customer_id, order.total) == (event.entity_id, amount), event
        available = customer.limit - sum(customer.reserved.values())
        if event.event_type == "CreditReleased":
            assert "OrderCancelled" in order.types, event
            assert customer.reserved.pop(order_id) == amount, event
            return
        self._answer(order_id, event)
        if event.event_type == "CreditReserved":
            customer.reserved[order_id] = amount
            assert amount <= available, f"{event}, with {available} available"
        else:
            assert event.event_type == "CreditLimitExceeded", event
            assert amount > available, f"{event}, with {available} available"

    def _answer(self, order_id: str, event: Logged) -> None:
        assert order_id not in self._answers, f"{event}, after {self._answers[order_id]}"
        self._answers[order_id] = event.event_type
