"""A meter that adds up orders, and a scenario with one of each."""

from contextlib import suppress
from decimal import Decimal

from eventuary import Aggregate, EntityExists, Event, EventStore, Repository, apply
from tests.framework.shop import Order


class MeterEvent(Event, entity="Meter"): ...


class Metered(MeterEvent):
    amount: Decimal


class Meter(Aggregate):
    total: Decimal = Decimal(0)

    def add(self, amount: Decimal) -> Metered:
        return Metered(amount)

    @apply
    def _metered(self, event: Metered) -> None:
        self.total += event.amount


async def one_order(store: EventStore) -> None:
    with suppress(EntityExists):
        await Repository(store, Meter).save([Metered(Decimal(0))], entity_id="meter")
    with suppress(EntityExists):
        await Repository(store, Order).save(Order.create("ada", Decimal(7)), entity_id="order-0")
