"""Pydantic models as events: stored, read back, upcast, applied and handled like any other."""

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest
from pydantic import AliasChoices, BaseModel, Field, ValidationError, computed_field
from pydantic.alias_generators import to_camel

from eventuary import (
    Aggregate,
    Context,
    Event,
    JsonObject,
    Repository,
    Subscriber,
    UnreadableEvent,
    apply,
    connect,
    running,
    upcaster,
)
from eventuary.events import NewEvent
from eventuary.framework.event_codec import EventCodec
from eventuary.framework.metadata import Metadata
from eventuary.integrations.pydantic import PydanticEvent


class Rating(Enum):
    GOOD = "good"
    BAD = "bad"


class Card(BaseModel):
    kind: Literal["card"] = "card"
    digits: str


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"


class BillEvent(PydanticEvent, entity="bills.Bill"): ...


class BillSent(BillEvent, name="Sent"):
    customer_id: UUID
    total: Decimal = Field(gt=0)
    due: date
    at: datetime
    rating: Rating = Rating.GOOD
    lines: tuple[tuple[str, int], ...] = ()
    payment: Card | Cash = Field(default_factory=Cash, discriminator="kind")

    @computed_field  # type: ignore[prop-decorator]  # as Pydantic documents it
    @property
    def total_in_cents(self) -> int:
        return int(self.total * 100)


class BillPaid(BillEvent, version=3, formerly=("Settled",)):
    amount: Decimal
    currency: str


@upcaster(BillPaid, from_version=1)
def in_units(data: JsonObject) -> JsonObject:
    return {"amount": str(Decimal(data["cents"]) / 100)}


@upcaster(BillPaid, from_version=2)
def with_currency(data: JsonObject) -> JsonObject:
    return {**data, "currency": "EUR"}


class BillVoided(Event, entity="bills.Bill"):
    """Both kinds of event go together."""


class Bill(Aggregate):
    total: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)

    @classmethod
    def send(cls, customer_id: UUID, total: Decimal) -> BillSent:
        return BillSent(
            customer_id=customer_id, total=total, due=date(2030, 1, 31), at=datetime.now(UTC)
        )

    def pay(self, amount: Decimal) -> BillPaid:
        return BillPaid(amount=amount, currency="EUR")

    def void(self) -> BillVoided:
        return BillVoided()

    @apply
    def _sent(self, event: BillSent) -> None:
        self.total = event.total

    @apply
    def _paid(self, event: BillPaid) -> None:
        self.paid += event.amount

    @apply
    def _voided(self, _: BillVoided) -> None:
        self.total = Decimal(0)


def _round_trip(event: PydanticEvent) -> Any:
    codec = EventCodec([type(event)])
    [stored] = codec.encode([event], Metadata())
    entity_type = event.__event__.type.entity_type
    return codec.decode(entity_type, stored.event_type, stored.event_data, stored.metadata)


def test_models_round_trip() -> None:
    event = BillSent(
        customer_id=uuid4(),
        total=Decimal("12.340"),
        due=date(2030, 1, 31),
        at=datetime(2030, 1, 1, 12, 30, 15, 123456, tzinfo=UTC),
        rating=Rating.BAD,
        lines=(("tea", 2),),
        payment=Card(digits="4242"),
    )
    again = _round_trip(event)
    assert again == event
    assert isinstance(again.payment, Card)
    assert str(again.total) == "12.340"


def test_aliases_are_what_is_stored() -> None:
    class Renamed(PydanticEvent, entity="bills.Bill", alias_generator=to_camel):
        customer_id: str
        paid_with: str = Field(alias="means")

    event = Renamed(customerId="ada", means="cash")  # type: ignore[call-arg]  # as mypy sees it
    [stored] = EventCodec([Renamed]).encode([event], Metadata())
    assert stored == NewEvent("Renamed", '{"customerId":"ada","means":"cash"}')
    assert _round_trip(event) == event


def test_a_model_that_could_not_read_what_it_writes_is_refused() -> None:
    with pytest.raises(TypeError, match=r"OneWay.total is written as 'sum', and not read"):

        class OneWay(PydanticEvent, entity="bills.Bill"):
            total: int = Field(serialization_alias="sum")

    with pytest.raises(TypeError, match=r"Silent.total is excluded"):

        class Silent(PydanticEvent, entity="bills.Bill"):
            total: int = Field(exclude=True)

    class Choosing(PydanticEvent, entity="bills.Bill"):
        total: int = Field(
            validation_alias=AliasChoices("sum", "total"), serialization_alias="total"
        )

    event = Choosing.model_validate({"sum": 3})
    assert _round_trip(event) == event


def test_classes_are_described_like_events() -> None:
    assert BillSent.__event__.type == ("bills.Bill", "Sent")
    assert BillPaid.__event__.version == 3
    assert [each.event_type for each in BillPaid.__event__.types] == ["BillPaid", "Settled"]
    with pytest.raises(TypeError, match="Homeless has no entity type"):

        class Homeless(PydanticEvent): ...

    with pytest.raises(TypeError, match="names the entity type 'other', but derives"):

        class Stray(BillEvent, entity="other"): ...


def test_events_do_not_change() -> None:
    event = BillPaid(amount=Decimal(1), currency="EUR")
    with pytest.raises(ValidationError, match="frozen"):
        event.currency = "USD"


@pytest.mark.parametrize(
    ("data", "metadata"),
    [
        ('{"cents": 1250}', None),
        ('{"amount": "12.50"}', '{"schemaVersion":2}'),
        ('{"amount": "12.50", "currency": "EUR", "new": [1]}', '{"schemaVersion":3}'),
    ],
)
def test_old_and_new_shapes_are_read(data: str, metadata: str | None) -> None:
    codec = EventCodec([BillPaid])
    for event_type in ("BillPaid", "Settled"):
        read = codec.decode("bills.Bill", event_type, data, metadata)
        assert read == BillPaid(amount=Decimal("12.50"), currency="EUR")


def test_what_does_not_validate_says_where() -> None:
    codec = EventCodec([BillPaid])
    with pytest.raises(UnreadableEvent, match=r"BillPaid[\s\S]*currency"):
        codec.decode("bills.Bill", "BillPaid", '{"amount": 1}', '{"schemaVersion":3}')


async def test_aggregates_and_handlers_take_them() -> None:
    handled: list[BillPaid | BillVoided] = []
    ledger = Subscriber("ledger")

    @ledger.on(BillPaid, BillVoided)
    async def enter(event: BillPaid | BillVoided, context: Context) -> None:
        handled.append(event)

    async with connect("memory:") as store, running(store, ledger) as runs:
        bills = Repository(store, Bill, cache=0)
        bill = await bills.save(Bill.send(uuid4(), Decimal("99.50")))
        await bills.update(bill.id, Bill.pay, Decimal("9.50"))
        await bills.update(bill.id, Bill.void)
        bill = await bills.load(bill.id)
        assert (bill.total, bill.paid) == (Decimal(0), Decimal("9.50"))
        assert [type(each.event) for each in await bills.history(bill.id)] == [
            BillSent,
            BillPaid,
            BillVoided,
        ]
        await runs.caught_up()
    assert handled == [BillPaid(amount=Decimal("9.50"), currency="EUR"), BillVoided()]
