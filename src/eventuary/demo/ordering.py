"""Ordering, as a customer does it and as the stage shows it: the call, and what came of it."""

import time

from eventuary.demo.causes import draw
from eventuary.demo.chronicle import Chronicle
from eventuary.demo.company import Company
from eventuary.demo.stage import Stage


class Ordering:
    """Customers and their orders, with names that people can tell apart."""

    def __init__(self, stage: Stage, company: Company, chronicle: Chronicle) -> None:
        #: What entities are called, by their ids.
        self.names: dict[str, str] = {}
        #: The ids of the orders that were placed one by one.
        self.orders: list[str] = []
        self._stage = stage
        self._company = company
        self._chronicle = chronicle

    def create_customer(self, name: str, limit: str) -> str:
        """Return the new customer's id."""
        created = self._company.post("customers", "/customers", name=name, creditLimit=limit)
        customer: str = created["customerId"]
        self.names[customer] = name
        return customer

    def place(self, customer: str, total: str) -> str:
        """Place an order, show the answer, and return the order's id."""
        began = time.perf_counter()
        placed = self._company.post("orders", "/orders", customerId=customer, orderTotal=total)
        seconds = time.perf_counter() - began
        order: str = placed["orderId"]
        self.orders.append(order)
        self.names[order] = f"order {len(self.orders)}"
        self._stage.call(f"POST /orders {total}", placed["state"], seconds)
        return order

    def cancel(self, order: str) -> None:
        """Cancel an order, and show the answer."""
        began = time.perf_counter()
        shown = self._company.post("orders", f"/orders/{order}/cancel")
        self._stage.call("POST /orders/…/cancel", shown["state"], time.perf_counter() - began)

    def state(self, order: str) -> str:
        """Ask the order service."""
        state: str = self._company.get("orders", f"/orders/{order}")["state"]
        return state

    def credit(self, customer: str) -> str:
        """Ask the customer service what may still be reserved."""
        credit: str = self._company.get("customers", f"/customers/{customer}")["availableCredit"]
        return credit

    def wait_for_decisions(self, orders: list[str]) -> None:
        """Read the log until all are approved or rejected."""
        self._chronicle.follow(
            lambda: all(
                self._chronicle.count(order, "OrderApproved", "OrderRejected") for order in orders
            )
        )

    def show_decision(self, order: str) -> None:
        """Show what the order has led to, once it is decided, and its e-mail if it has one."""
        self.wait_for_decisions([order])
        self._chronicle.follow(
            lambda: (
                self._chronicle.emails_about(order) == self._chronicle.count(order, "OrderApproved")
            )
        )
        self.show_causes(order)

    def show_causes(self, order: str, *event_types: str) -> None:
        """Draw what happened for an order's sake, or what of it is of these types."""
        events = [
            event
            for event in self._chronicle.about(order)
            if not event_types or event.event_type in event_types
        ]
        for tree in draw(events, self._chronicle.emails(), self.names):
            self._stage.show(tree)
