"""given, when, then fails, unasked, for what would go wrong in earnest."""

import uuid
from collections.abc import Callable
from decimal import Decimal
from itertools import count

import pytest

from eventuary import Aggregate, Event, apply
from eventuary.testing import given
from tests.framework.shop import Order, OrderCreated, OrderEvent

CREATED = OrderCreated("ada", Decimal(10))


def failure(check: Callable[[], object]) -> str:
    """Return the text with which a check fails."""
    with pytest.raises(AssertionError) as caught:
        check()
    return str(caught.value)


class Plain:
    def __init__(self, number: int) -> None:
        self.number = number


class Shape(Event, entity="Shape"):
    sides: list[int]


class Meter(Aggregate):
    shape: list[int]
    seen: dict[str, list[int]]

    def careless(self) -> Shape:
        self.shape.append(4)
        self.seen["now"] = self.shape
        return Shape([4])

    def careless_refusal(self) -> Shape:
        self.shape = []
        raise ValueError("no")

    @apply
    def _shape(self, event: Shape) -> None:
        self.shape = list(event.sides)
        self.seen = {}


def test_a_command_that_changes_the_state_is_found_out() -> None:
    assert failure(lambda: given(Meter, Shape([3])).when(Meter.careless)) == (
        "Meter.careless changes the state it is shown (expected: what it was); commands decide, "
        "@apply methods change:\n"
        "  shape[1]: not expected, got 4\n"
        "  seen['now']: not expected, got [3, 4]"
    )
    assert "Meter.careless_refusal changes the state" in failure(
        lambda: given(Meter, Shape([3])).when(Meter.careless_refusal)
    )


def test_an_apply_method_that_makes_two_states_of_the_same_events_is_found_out() -> None:
    numbers = count()

    class Fickle(Aggregate):
        key: str
        number: int

        @apply
        def _shape(self, event: Shape) -> None:
            self.key = str(uuid.uuid4())
            self.number = next(numbers)

    text = failure(lambda: given(Fickle, Shape([])))
    assert text.startswith(
        "Fickle: the same events, applied twice, make two states; @apply methods take all they "
        "need from the event:\n  key: expected '"
    )
    assert text.endswith("  number: expected 0, got 1")


class Priced(OrderEvent):
    price: Decimal
    parts: tuple[Decimal, ...] = ()


class PricedOrder(Order):
    def price(self, price: object) -> Priced:
        return Priced(price)  # type: ignore[arg-type]  # the point

    @apply
    def _priced(self, event: Priced) -> None: ...


def test_an_event_that_would_come_back_otherwise_is_found_out() -> None:
    """Types are not checked when an event is made, but what is stored is JSON."""
    given(PricedOrder, CREATED).when(PricedOrder.price, 7).then(Priced(Decimal(7)))
    assert failure(lambda: given(PricedOrder, CREATED).when(PricedOrder.price, 0.1)) == (
        "Priced(price=0.1, parts=()) would be read from a store as "
        "Priced(price=Decimal('0.1'), parts=()):\n  price: expected 0.1, got Decimal('0.1')"
    )
    assert failure(lambda: given(PricedOrder, CREATED).when(PricedOrder.price, "much")).startswith(
        "Priced(price='much', parts=()) can't be stored and read: a stored 'Priced' of "
    )
    assert "can't be stored and read: Encoding objects of type Plain is unsupported" in failure(
        lambda: given(PricedOrder, CREATED, Priced(Plain(1)))  # type: ignore[arg-type]  # the point
    )


def test_an_event_that_is_not_applied_is_found_out() -> None:
    with pytest.raises(TypeError, match="Order has no @apply method for Priced"):
        given(Order, CREATED, Priced(Decimal(1)))
    with pytest.raises(TypeError, match="Order has no @apply method for Priced"):
        given(Order, CREATED).when(lambda _: Priced(Decimal(1)))
    with pytest.raises(TypeError, match="a command returned int"):
        given(Order, CREATED).when(lambda _: 7)  # type: ignore[arg-type,return-value]  # the point


def test_what_there_is_not_and_what_there_is_already() -> None:
    with pytest.raises(TypeError, match=r"given\(Order\) has no events, so there is no Order yet"):
        given(Order).when(Order.approve)
    with pytest.raises(TypeError, match=r"given\(Order, …\) has events, so it exists already"):
        given(Order, CREATED).when_creating(Order.create, "ada", Decimal(1))


def test_an_outcome_that_nobody_looks_at_is_told_of() -> None:
    with pytest.warns(
        RuntimeWarning, match=r"what Order.approve did was never checked: add .then\(…\)"
    ):
        given(Order, CREATED).when(Order.approve)
