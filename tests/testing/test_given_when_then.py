"""given, when, then: what it accepts, and how it says what is wrong."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self

import msgspec
import pytest

from eventuary import Aggregate, Event, apply
from eventuary.testing import ENTITY_ID, given
from tests.framework.shop import (
    CreditLimitExceeded,
    CreditReserved,
    Customer,
    CustomerCreated,
    NotToBeCancelled,
    Order,
    OrderApproved,
    OrderCancelled,
    OrderCreated,
    OrderRejected,
    OrderState,
)

CREATED = OrderCreated("ada", Decimal(10))


def failure(check: Callable[[], object]) -> str:
    """Return the text with which a check fails."""
    with pytest.raises(AssertionError) as caught:
        check()
    return str(caught.value)


# ── What holds ────────────────────────────────────────────────────────────────────────────────────


def test_a_command_and_its_events() -> None:
    given(Order, CREATED).when(Order.approve).then(OrderApproved())
    given(Order, CREATED).when(Order.reject, "too late").then(OrderRejected("too late"))
    given(Order, CREATED).when(Order.reject, reason="too late").then(OrderRejected("too late"))
    given(Customer, CustomerCreated(Decimal(5)), CreditReserved("o", Decimal(3))).when(
        Customer.reserve_credit, "p", Decimal("2.01")
    ).then(CreditLimitExceeded("p"))
    given(Order, CREATED).when(lambda order: [order.approve() or CREATED, OrderApproved()]).then(
        OrderApproved(), OrderApproved()
    )


def test_a_creating_command() -> None:
    given(Order).when_creating(Order.create, "ada", Decimal(10)).then(CREATED)
    given(Order).when_creating(lambda: [CREATED, OrderApproved()]).then(CREATED, OrderApproved())
    given(Order).when_creating(lambda: None).then_nothing()


def test_nothing() -> None:
    given(Order, CREATED, OrderApproved()).when(Order.approve).then_nothing()
    given(Order, CREATED, OrderApproved()).when(Order.approve).then()


def test_a_refusal() -> None:
    given(Order, CREATED).when(Order.cancel).then_raises(NotToBeCancelled)
    given(Order, CREATED).when(Order.cancel).then_raises(Exception, match=r"is created, not appro")


def test_the_state_after_it() -> None:
    outcome = (
        given(Order, CREATED)
        .when(Order.approve)
        .then(OrderApproved())
        .and_state(lambda order: order.state is OrderState.APPROVED)
        .and_state(lambda order: order.total == 10)
    )
    assert outcome.state.customer_id == "ada"
    assert outcome.events == (OrderApproved(),)
    refused = given(Order, CREATED).when(Order.cancel).then_raises(NotToBeCancelled)
    assert refused.and_state(lambda order: order.state is OrderState.CREATED).events == ()


def test_the_aggregate_has_an_id() -> None:
    def named(order: Order) -> OrderRejected:
        return OrderRejected(order.id)

    given(Order, CREATED).when(named).then(OrderRejected(ENTITY_ID))
    given(Order, CREATED, entity_id="o-7").when(named).then(OrderRejected("o-7"))


class Plain:
    """A value that is equal to nothing but itself."""

    def __init__(self, number: int) -> None:
        self.number = number


class Shape(Event, entity="Shape"):
    sides: list[int]


@dataclass(frozen=True)
class FrozenShape(Aggregate):
    sides: tuple[int, ...] = ()

    def grow(self) -> Shape:
        return Shape([*self.sides, 1])

    @apply
    def _shape(self, event: Shape) -> Self:
        return replace(self, sides=tuple(event.sides))


def test_aggregates_of_other_shapes() -> None:
    class Plainly(Aggregate):
        plain: Plain
        plains: list[Plain]

        def grow(self) -> Shape:
            return Shape([self.plain.number + 1])

        @apply
        def _shape(self, event: Shape) -> None:
            self.plain = Plain(sum(event.sides))
            self.plains = [self.plain, Plain(0)]

    given(FrozenShape, Shape([1])).when(FrozenShape.grow).then(Shape([1, 1])).and_state(
        lambda shape: shape.sides == (1, 1)
    )
    given(Plainly, Shape([1])).when(Plainly.grow).then(Shape([2]))


# ── What differs ──────────────────────────────────────────────────────────────────────────────────


def test_fields_that_differ_are_named() -> None:
    specified = given(Customer, CustomerCreated(Decimal(5))).when(
        Customer.reserve_credit, "o-1", Decimal(3)
    )
    assert failure(lambda: specified.then(CreditReserved("o-2", Decimal(4)))) == (
        "Customer.reserve_credit emitted other events than expected:\n"
        "  1. CreditReserved\n"
        "       order_id: expected 'o-2', got 'o-1'\n"
        "       amount: expected Decimal('4'), got Decimal('3')"
    )


class Line(msgspec.Struct, frozen=True):
    product: str
    quantity: int = 1


class BasketFilled(Event, entity="Basket"):
    lines: list[Line]
    notes: dict[str, str]
    tags: frozenset[str] = frozenset()


class Basket(Aggregate):
    def fill(self, *lines: Line) -> BasketFilled:
        return BasketFilled(list(lines), {"by": "ada"}, frozenset({"new", "gift"}))

    @apply
    def _filled(self, event: BasketFilled) -> None: ...


def test_differences_are_found_as_deep_as_they_go() -> None:
    specified = given(Basket, BasketFilled([], {})).when(Basket.fill, Line("tea", 2), Line("cup"))
    expected = BasketFilled(
        [Line("tea", 3), Line("cup"), Line("pot")], {"for": "bob"}, frozenset({"gift", "old"})
    )
    assert failure(lambda: specified.then(expected)) == (
        "Basket.fill emitted other events than expected:\n"
        "  1. BasketFilled\n"
        "       lines[0].quantity: expected 3, got 2\n"
        "       lines[2]: expected Line(product='pot', quantity=1), is missing\n"
        "       notes['for']: expected 'bob', is missing\n"
        "       notes['by']: not expected, got 'ada'\n"
        "       tags: 'old' is missing\n"
        "       tags: 'new' was not expected"
    )


def test_missing_and_additional_events_are_told_from_different_ones() -> None:
    specified = given(Order, CREATED).when(
        lambda order: [OrderApproved(), OrderRejected("a"), OrderCancelled(order.customer_id)]
    )
    text = failure(
        lambda: specified.then(OrderRejected("b"), OrderCancelled("ada"), OrderApproved())
    )
    assert text == (
        '[OrderApproved(), OrderRejected("a"), OrderCancelled(order.customer_id)] emitted other '
        "events than expected:\n"
        "  1. additional: OrderApproved()\n"
        "  2. OrderRejected\n"
        "       reason: expected 'b', got 'a'\n"
        "  3. as expected: OrderCancelled(customer_id='ada')\n"
        "  4. missing: OrderApproved()"
    )


def test_of_several_of_one_type_those_that_are_the_same_go_together() -> None:
    specified = given(Order, CREATED).when(lambda _: [OrderRejected("b"), OrderRejected("c")])
    assert failure(
        lambda: specified.then(OrderRejected("a"), OrderRejected("b"), OrderRejected("c"))
    ).endswith(
        ":\n  1. missing: OrderRejected(reason='a')\n"
        "  2. as expected: OrderRejected(reason='b')\n"
        "  3. as expected: OrderRejected(reason='c')"
    )


def test_no_events_where_some_were_expected() -> None:
    specified = given(Order, CREATED, OrderApproved()).when(Order.approve)
    assert failure(lambda: specified.then(OrderApproved())) == (
        "Order.approve emitted no events:\n  1. missing: OrderApproved()"
    )


def test_events_where_none_were_expected() -> None:
    for check in (
        given(Order, CREATED).when(Order.approve).then_nothing,
        given(Order).when_creating(Order.create, "ada", Decimal(1)).then,
    ):
        assert "1. additional: Order" in failure(check)


def test_refusals_that_are_not_as_expected() -> None:
    refused = given(Order, CREATED).when(Order.cancel)
    assert failure(lambda: refused.then(OrderCancelled("ada"))) == (
        "Order.cancel raised NotToBeCancelled: the order is created, not approved"
    )
    assert failure(refused.then_nothing).startswith("Order.cancel raised NotToBeCancelled")
    assert failure(lambda: refused.then_raises(KeyError)) == (
        "Order.cancel did not raise KeyError, but NotToBeCancelled: the order is created, not "
        "approved"
    )
    assert failure(lambda: refused.then_raises(NotToBeCancelled, match="^not")) == (
        "Order.cancel did not raise NotToBeCancelled matching '^not', but NotToBeCancelled: the "
        "order is created, not approved"
    )
    with pytest.raises(AssertionError) as caught:
        refused.then()
    assert isinstance(caught.value.__cause__, NotToBeCancelled), "where it was raised can be read"
    approved = given(Order, CREATED).when(Order.approve)
    assert failure(lambda: approved.then_raises(NotToBeCancelled)) == (
        "Order.approve did not raise NotToBeCancelled; it emitted events:\n"
        "  1. additional: OrderApproved()"
    )
    nothing = given(Order, CREATED, OrderApproved()).when(Order.approve)
    assert failure(lambda: nothing.then_raises(ValueError)).endswith("; it emitted nothing")


def test_a_state_that_is_not_as_expected_is_shown() -> None:
    approved = given(Order, CREATED).when(Order.approve).then(OrderApproved())
    assert failure(lambda: approved.and_state(lambda o: o.state is OrderState.CREATED)) == (
        "Order.approve does not lead to a state of which holds: o.state is OrderState.CREATED\n"
        "  customer_id = 'ada'\n"
        "  total = Decimal('10')\n"
        "  state = <OrderState.APPROVED: 'approved'>\n"
        "  id = 'entity-1'\n"
        "  version = '0000000000000001-0000000000000001'"
    )
    with pytest.raises(TypeError, match=r"o.customer_id answers 'ada': compare, so that it is"):
        approved.and_state(lambda o: o.customer_id)  # type: ignore[arg-type,return-value]  # the point


def test_a_refusal_that_nobody_expected_is_not_passed_over_by_looking_at_the_state() -> None:
    with pytest.raises(AssertionError, match=r"Order.cancel raised NotToBeCancelled"):
        _ = given(Order, CREATED).when(Order.cancel).state
    with pytest.raises(AssertionError, match=r"Order.cancel raised NotToBeCancelled"):
        _ = given(Order, CREATED).when(Order.cancel).events
