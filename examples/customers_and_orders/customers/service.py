"""The customer service: what it is asked over HTTP, and told by events."""

from decimal import Decimal
from typing import Annotated

from fastapi import FastAPI
from pydantic import StringConstraints

from customers_and_orders.customers.customer import Customer
from customers_and_orders.customers.handlers import customer_subscriber
from customers_and_orders.json_shapes import Amount, JsonShape
from customers_and_orders.service import service
from eventuary import EventStore, EveryEvents, Repository

#: A load reads a snapshot and fewer events than this, however long a customer's history is.
_SNAPSHOT_EVERY = 50


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


def customer_service(store: EventStore) -> FastAPI:
    """Return the service over a store."""
    customers = Repository(store, Customer, snapshots=EveryEvents(_SNAPSHOT_EVERY))
    app = service("customer service", store, customer_subscriber(customers))

    @app.post("/customers", status_code=201)
    async def create_customer(new: NewCustomer) -> CustomerShown:
        return _shown(await customers.save(Customer.create(new.name, new.credit_limit)))

    @app.get("/customers/{customer_id}")
    async def show_customer(customer_id: str) -> CustomerShown:
        return _shown(await customers.load(customer_id))

    return app


def _shown(customer: Customer) -> CustomerShown:
    return CustomerShown(
        customer_id=customer.id,
        name=customer.name,
        credit_limit=customer.credit_limit,
        available_credit=customer.available_credit,
    )
