"""What the customer service is asked over HTTP."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter
from pydantic import StringConstraints

from customers_and_orders.customers.customer import Customer
from customers_and_orders.json_shapes import Amount, JsonShape
from eventuary import Repository
from eventuary.integrations.fastapi import repository

Customers = Annotated[Repository[Customer], repository(Customer)]

routes = APIRouter(tags=["customers"])


class NewCustomer(JsonShape):
    """A customer who is to be."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    credit_limit: Amount


class CustomerShown(JsonShape):
    """A customer who is."""

    customer_id: str
    name: str
    credit_limit: Decimal
    available_credit: Decimal


@routes.post("/customers", status_code=201)
async def create_customer(new: NewCustomer, customers: Customers) -> CustomerShown:
    """Let there be a customer."""
    return _shown(await customers.save(Customer.create(new.name, new.credit_limit)))


@routes.get("/customers/{customer_id}")
async def show_customer(customer_id: str, customers: Customers) -> CustomerShown:
    """Tell how a customer stands."""
    return _shown(await customers.load(customer_id))


def _shown(customer: Customer) -> CustomerShown:
    return CustomerShown(
        customer_id=customer.id,
        name=customer.name,
        credit_limit=customer.credit_limit,
        available_credit=customer.available_credit,
    )
