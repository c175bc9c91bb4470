"""Customer: credit is held for orders, never more than the limit, and freed again."""

from decimal import Decimal

import pytest

from customers_and_orders.customers.credit_check import CreditCheck
from customers_and_orders.customers.customer import Customer
from customers_and_orders.events.customers import (
    CreditLimitExceeded,
    CreditReleased,
    CreditReserved,
    CustomerCreated,
    CustomerUnknown,
)
from eventuary.testing import given

_ADA = CustomerCreated("Ada", Decimal(100))


def test_a_new_customer_owes_nothing() -> None:
    outcome = given(Customer).when_creating(Customer.create, "Ada", Decimal(100))
    outcome.then(_ADA).and_state(lambda ada: ada.available_credit == Decimal(100))


@pytest.mark.parametrize("amount", [Decimal("0.01"), Decimal(60), Decimal(100)])
def test_credit_that_is_there_is_reserved(amount: Decimal) -> None:
    outcome = given(Customer, _ADA).when(Customer.reserve_credit, "order-1", amount)
    outcome.then(CreditReserved("order-1", amount))
    assert outcome.state.available_credit == Decimal(100) - amount


def test_credit_that_is_not_there_is_not_reserved() -> None:
    outcome = given(Customer, _ADA).when(Customer.reserve_credit, "order-1", Decimal("100.01"))
    outcome.then(CreditLimitExceeded("order-1", Decimal("100.01")))
    assert outcome.state.available_credit == Decimal(100)


def test_what_is_held_for_others_is_not_there() -> None:
    held = CreditReserved("order-1", Decimal(70))
    ada = given(Customer, _ADA, held)
    ada.when(Customer.reserve_credit, "order-2", Decimal(30)).then(
        CreditReserved("order-2", Decimal(30))
    )
    ada.when(Customer.reserve_credit, "order-2", Decimal("30.01")).then(
        CreditLimitExceeded("order-2", Decimal("30.01"))
    )


def test_credit_is_held_once_for_an_order() -> None:
    ada = given(Customer, _ADA, CreditReserved("order-1", Decimal(70)))
    ada.when(Customer.reserve_credit, "order-1", Decimal(70)).then_nothing()


def test_what_was_held_is_released() -> None:
    ada = given(Customer, _ADA, CreditReserved("order-1", Decimal(70)))
    outcome = ada.when(Customer.release_credit, "order-1")
    outcome.then(CreditReleased("order-1", Decimal(70)))
    assert outcome.state.available_credit == Decimal(100)


def test_what_is_not_held_is_not_released() -> None:
    exceeded = CreditLimitExceeded("order-1", Decimal(170))
    given(Customer, _ADA, exceeded).when(Customer.release_credit, "order-1").then_nothing()
    reserved, released = (
        CreditReserved("order-1", Decimal(70)),
        CreditReleased("order-1", Decimal(70)),
    )
    ada = given(Customer, _ADA, reserved, released)
    ada.when(Customer.release_credit, "order-1").then_nothing()


def test_the_check_of_an_order_for_nobody() -> None:
    outcome = given(CreditCheck).when_creating(CreditCheck.customer_unknown, "nobody")
    outcome.then(CustomerUnknown("nobody"))
