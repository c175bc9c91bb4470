"""Order: decided once, and cancelled at most once, whatever comes in whatever order."""

import itertools
from collections.abc import Callable
from decimal import Decimal

import pytest

from customers_and_orders.events.orders import (
    OrderApproved,
    OrderCancelled,
    OrderCreated,
    OrderEvent,
    OrderRejected,
    RejectionReason,
)
from customers_and_orders.orders.order import CancelledTooLate, Order, OrderState
from eventuary.testing import given

_TOTAL = Decimal("12.34")
_CREATED = OrderCreated("ada", _TOTAL)
_APPROVED = OrderApproved("ada", _TOTAL)
_REJECTED = OrderRejected("ada", RejectionReason.CREDIT_LIMIT_EXCEEDED)
_CANCELLED = OrderCancelled("ada")

#: An order's pasts, by the state that they lead to.
_PASTS: dict[OrderState, tuple[OrderEvent, ...]] = {
    OrderState.CREATED: (_CREATED,),
    OrderState.APPROVED: (_CREATED, _APPROVED),
    OrderState.REJECTED: (_CREATED, _REJECTED),
    OrderState.CANCELLED: (_CREATED, _APPROVED, _CANCELLED),
}


def test_placing_an_order() -> None:
    outcome = given(Order).when_creating(Order.create, "ada", _TOTAL)
    outcome.then(_CREATED).and_state(lambda order: order.state is OrderState.CREATED)


def test_an_open_order_is_approved() -> None:
    outcome = given(Order, _CREATED).when(Order.approve)
    outcome.then(_APPROVED).and_state(lambda order: order.state is OrderState.APPROVED)


def test_an_open_order_is_rejected_for_a_reason() -> None:
    reason = RejectionReason.UNKNOWN_CUSTOMER
    outcome = given(Order, _CREATED).when(Order.reject, reason)
    outcome.then(OrderRejected("ada", reason))
    outcome.and_state(lambda order: order.rejection_reason is reason)


@pytest.mark.parametrize("state", [each for each in OrderState if each != OrderState.CREATED])
def test_what_is_decided_stays_decided(state: OrderState) -> None:
    order = given(Order, *_PASTS[state])
    order.when(Order.approve).then_nothing()
    order.when(Order.reject, RejectionReason.UNKNOWN_CUSTOMER).then_nothing()


@pytest.mark.parametrize("state", [OrderState.CREATED, OrderState.APPROVED])
def test_an_order_is_cancelled_before_its_answer_and_after(state: OrderState) -> None:
    outcome = given(Order, *_PASTS[state]).when(Order.cancel)
    outcome.then(_CANCELLED).and_state(lambda order: order.state is OrderState.CANCELLED)


def test_cancelling_twice_is_cancelling_once() -> None:
    given(Order, *_PASTS[OrderState.CANCELLED]).when(Order.cancel).then_nothing()


def test_a_rejected_order_is_not_cancelled() -> None:
    order = given(Order, _CREATED, _REJECTED, entity_id="order-1")
    order.when(Order.cancel).then_raises(CancelledTooLate, match="order-1.*CREDIT_LIMIT_EXCEEDED")


def test_in_whatever_order_commands_come_an_order_ends_once() -> None:
    commands: dict[str, Callable[[Order], OrderEvent | None]] = {
        "approve": Order.approve,
        "reject": lambda order: order.reject(RejectionReason.CREDIT_LIMIT_EXCEEDED),
        "cancel": Order.cancel,
    }
    for names in itertools.product(commands, repeat=4):
        past: list[OrderEvent] = [_CREATED]
        for name in names:
            outcome = given(Order, *past).when(commands[name])
            try:
                outcome.then_raises(CancelledTooLate)
            except AssertionError:
                past += [event for event in outcome.events if isinstance(event, OrderEvent)]
        types = [type(event) for event in past[1:]]
        assert types in (
            [OrderApproved],
            [OrderApproved, OrderCancelled],
            [OrderRejected],
            [OrderCancelled],
        ), names
