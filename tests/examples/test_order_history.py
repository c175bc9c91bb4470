"""The order history: entities are told of in any order, and what is shown comes out the same."""

import itertools
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from customers_and_orders.events.customers import CreditReserved, CustomerCreated
from customers_and_orders.events.orders import (
    OrderApproved,
    OrderCancelled,
    OrderCreated,
    OrderRejected,
    RejectionReason,
)
from customers_and_orders.order_history.documents import RECENT, CustomerDocument
from customers_and_orders.order_history.history import OrderHistory, order_history
from customers_and_orders.order_history.storage import open_storage
from eventuary import ConfigurationError, Event, ServiceUnavailable
from tests.views.events_by_hand import view_event

_TEN = Decimal("10.00")
_CREATED = CustomerCreated("Ada", Decimal("100.00"))
_ORDERED = OrderCreated("ada", _TEN)

#: An event, and whose it is.
Told = tuple[Event, str]


class _History:
    """A history that is told of events, each swimlane's in order."""

    def __init__(self, history: OrderHistory) -> None:
        self.history = history
        self._position = 0

    async def tell(self, *told: Told, swimlane: int = 0) -> None:
        generation = await self.history.view.kept.open_live()
        for event, entity_id in told:
            self._position += 1
            await self.history.view.kept.apply(
                generation,
                [
                    view_event(
                        self.history.view, self._position, event, entity_id, swimlane=swimlane
                    )
                ],
            )

    async def customer(self) -> CustomerDocument:
        document = await self.history.customers.get("ada")
        assert document is not None
        return document


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[_History]:
    storage = open_storage(None, str(tmp_path / "view.db"))
    yield _History(order_history(storage))
    await storage.close()


async def test_entities_may_be_told_of_in_any_order(tmp_path: Path) -> None:
    # What one entity's events change is in order; the three entities' are mixed as they like.
    lanes: Sequence[Sequence[Told]] = (
        ((_CREATED, "ada"), (CreditReserved("order-1", _TEN), "ada")),
        ((_ORDERED, "order-1"), (OrderApproved("ada", _TEN), "order-1")),
        ((_ORDERED, "order-2"), (OrderCancelled("ada"), "order-2")),
    )
    orders = sorted(set(itertools.permutations((0, 0, 1, 1, 2, 2))))
    for number, order in enumerate(orders[::5]):
        storage = open_storage(None, str(tmp_path / f"{number}.db"))
        history = _History(order_history(storage))
        told = [0, 0, 0]
        for lane in order:
            await history.tell(lanes[lane][told[lane]], swimlane=lane)
            told[lane] += 1
        document = await history.customer()
        await storage.close()
        assert (document.name, document.credit_reserved) == ("Ada", _TEN)
        assert {each.order_id: each.state for each in document.orders} == {
            "order-1": "APPROVED",
            "order-2": "CANCELLED",
        }
        placed = [(each.placed_at, each.order_id) for each in document.orders]
        assert placed == sorted(placed, reverse=True)


async def test_an_order_is_shown_alike_in_both_documents(history: _History) -> None:
    await history.tell(
        (_CREATED, "ada"),
        (_ORDERED, "order-1"),
        (OrderRejected("ada", RejectionReason.CREDIT_LIMIT_EXCEEDED), "order-1"),
    )
    order = await history.history.orders.get("order-1")
    assert order is not None
    assert (order.state, order.order_total) == ("REJECTED", _TEN)
    assert (await history.customer()).orders == [order]


async def test_a_document_has_the_newest_orders(history: _History) -> None:
    await history.tell((_CREATED, "ada"))
    numbers = range(RECENT + 20)
    await history.tell(*((_ORDERED, f"order-{number}") for number in numbers))
    shown = [each.order_id for each in (await history.customer()).orders]
    assert shown == [f"order-{number}" for number in numbers[:19:-1]]
    # What has left the document is there still, and may still change.
    await history.tell((OrderCancelled("ada"), "order-3"))
    order = await history.history.orders.get("order-3")
    assert order is not None
    assert order.state == "CANCELLED"
    assert [each.order_id for each in (await history.customer()).orders] == shown


async def test_a_database_that_is_not_to_be_had_is_named(tmp_path: Path) -> None:
    storage = open_storage(None, str(tmp_path / "no folder" / "view.db"))
    with pytest.raises(ServiceUnavailable, match="unable to open database file"):
        await order_history(storage).customers.get("ada")
    (tmp_path / "poem").write_text("no database " * 100)
    with pytest.raises(ServiceUnavailable, match="file is not a database"):
        await order_history(open_storage(None, str(tmp_path / "poem"))).customers.get("ada")
    with pytest.raises(ConfigurationError, match="nosuch"):
        open_storage(None, "nosuch://host/database")
