"""Events come back from JSON as they were, whatever their fields are made of."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from eventuary import Event, JsonObject, UnreadableEvent, upcaster
from eventuary.framework.event import AnyEvent
from eventuary.framework.event_codec import EventCodec
from eventuary.framework.metadata import Metadata


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Money(msgspec.Struct, frozen=True):
    amount: Decimal
    currency: str


class Line(msgspec.Struct, frozen=True):
    product: str
    price: Money
    quantity: int = 1


class Card(msgspec.Struct, frozen=True, tag="card"):
    number: str


class Transfer(msgspec.Struct, frozen=True, tag="transfer"):
    iban: str


class BasketEvent(Event, entity="shop.Basket"): ...


class Filled(BasketEvent):
    id: UUID
    total: Decimal
    at: datetime
    day: date
    within: timedelta
    colour: Colour
    size: Size
    lines: list[Line]
    paid_by: Card | Transfer
    tags: frozenset[str]
    by_number: dict[int, Decimal]
    picture: bytes
    note: str | None = None


FILLED = Filled(
    id=UUID("12345678-1234-5678-1234-567812345678"),
    total=Decimal("0.1000000000000000000000000001"),
    at=datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    day=date(2026, 2, 28),
    within=timedelta(days=1, microseconds=7),
    colour=Colour.BLUE,
    size=Size.LARGE,
    lines=[Line("tea", Money(Decimal("3.50"), "EUR"), 2), Line("cup", Money(Decimal(1), "EUR"))],
    paid_by=Transfer("DE00"),
    tags=frozenset({"gift", "ünïcødé \u2028"}),
    by_number={7: Decimal("7.70")},
    picture=b"\x00\xff",
)


def read_back(event: AnyEvent, *known: type[AnyEvent]) -> AnyEvent | None:
    codec = EventCodec(known or [type(event)])
    [stored] = codec.encode([event], Metadata())
    return codec.decode(
        event.__event__.type.entity_type, stored.event_type, stored.event_data, stored.metadata
    )


def test_all_kinds_of_fields_come_back() -> None:
    back = read_back(FILLED)
    assert back == FILLED
    assert isinstance(back, Filled)
    assert str(back.total) == "0.1000000000000000000000000001"
    assert str(back.lines[0].price.amount) == "3.50"
    assert back.at.utcoffset() == timedelta(hours=5, minutes=30)


@pytest.mark.parametrize("paid_by", [Card("4711"), Transfer("DE00")])
def test_a_tagged_union_comes_back_as_the_member_it_was(paid_by: Card | Transfer) -> None:
    back = read_back(msgspec.structs.replace(FILLED, paid_by=paid_by))
    assert cast("Filled", back).paid_by == paid_by


def test_decimals_are_stored_as_text() -> None:
    """A reader that takes JSON's numbers for floats must not change an amount of money."""
    [stored] = EventCodec([Filled]).encode([FILLED], Metadata())
    data = msgspec.json.decode(stored.event_data)
    assert data["total"] == "0.1000000000000000000000000001"
    assert data["by_number"] == {"7": "7.70"}


def test_an_event_without_fields() -> None:
    class Emptied(BasketEvent): ...

    [stored] = EventCodec([Emptied]).encode([Emptied()], Metadata())
    assert (stored.event_type, stored.event_data, stored.metadata) == ("Emptied", "{}", None)
    assert read_back(Emptied()) == Emptied()


def test_fields_of_a_newer_writer_are_ignored_and_those_of_an_older_have_defaults() -> None:
    class Noted(BasketEvent):
        text: str
        colour: Colour = Colour.RED

    codec = EventCodec([Noted])
    assert codec.decode("shop.Basket", "Noted", '{"text":"x","new":{"a":[1]}}', None) == Noted("x")


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ('{"amount":"much"}', r"\$.amount"),
        ("{}", "missing required field `amount`"),
        ("not json", "malformed"),
        ('{"amount":"1","colour":"green"}', r"green.*\$.colour"),
    ],
)
def test_what_can_t_be_read_says_where(data: str, where: str) -> None:
    class Paid(BasketEvent):
        amount: Decimal
        colour: Colour = Colour.RED

    with pytest.raises(UnreadableEvent, match=f"(?s)'Paid' of 'shop.Basket' .* as Paid: .*{where}"):
        EventCodec([Paid]).decode("shop.Basket", "Paid", data, None)


def test_events_are_frozen_and_equal_by_value() -> None:
    class Named(BasketEvent):
        name_: str

    event = Named("x")
    with pytest.raises(AttributeError, match="immutable"):
        event.name_ = "y"  # type: ignore[misc]  # this is the point
    assert event == Named("x")
    assert len({event, Named("x"), Named("y")}) == 2


def test_the_type_on_the_wire_is_the_class_s_name_or_the_one_it_gives() -> None:
    class Named(BasketEvent): ...

    class Renamed(BasketEvent, name="baskets/Given v2"): ...

    assert Named.__event__.type == ("shop.Basket", "Named")
    assert Renamed.__event__.type == ("shop.Basket", "baskets/Given v2")
    assert read_back(Renamed()) == Renamed()


def test_an_event_of_an_event_has_a_name_of_its_own() -> None:
    class Opened(BasketEvent, name="opened", version=1, formerly=("Begun",)):
        by: str

    class OpenedInHaste(Opened):
        reason: str

    assert OpenedInHaste.__event__.type == ("shop.Basket", "OpenedInHaste")
    assert OpenedInHaste.__event__.former_names == ()
    back = read_back(OpenedInHaste("ada", "fire"), Opened, OpenedInHaste)
    assert type(back) is OpenedInHaste


def test_json_names_can_differ_from_ours() -> None:
    class Shipped(BasketEvent, rename="camel"):
        tracking_number: str

    [stored] = EventCodec([Shipped]).encode([Shipped("7")], Metadata())
    assert stored.event_data == '{"trackingNumber":"7"}'
    assert read_back(Shipped("7")) == Shipped("7")


def test_two_classes_of_one_stored_type_are_refused() -> None:
    class Sent(BasketEvent): ...

    class Dispatched(BasketEvent, name="Sent"): ...

    class Posted(BasketEvent, formerly=("Sent",)): ...

    class Elsewhere(Event, entity="shop.Parcel", name="Sent"): ...

    with pytest.raises(TypeError, match="Dispatched and Sent are both stored as 'Sent' of 'shop"):
        EventCodec([Sent, Dispatched])
    with pytest.raises(TypeError, match="Posted and Sent are both stored as 'Sent'"):
        EventCodec([Sent, Posted])
    assert EventCodec([Sent, Elsewhere]).selection == {
        "shop.Basket": ["Sent"],
        "shop.Parcel": ["Sent"],
    }


def test_classes_that_can_t_be_events_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Homeless has no entity type: write class Homeless"):

        class Homeless(Event): ...

    with pytest.raises(TypeError, match="names the entity type 'B', but derives from events of"):

        class Emigrated(BasketEvent, entity="B"): ...

    with pytest.raises(TypeError, match="Negative: version 0 is below 1"):

        class Negative(BasketEvent, version=0): ...


def test_an_unknown_type_is_nobody_s() -> None:
    assert EventCodec([Filled]).decode("shop.Basket", "Unheard", "{}", None) is None
    assert EventCodec([Filled]).decode("shop.Other", "Filled", "{}", None) is None


def test_upcast_data_is_read_as_stored_data_is() -> None:
    """JSON's keys are text, and so are its dates: also after an upcaster has had them."""

    class Counted(BasketEvent, version=2):
        by_number: dict[int, Decimal]
        at: datetime
        lines: Sequence[Line]
        picture: bytes
        colour: Colour

    @upcaster(Counted, from_version=1)
    def _same(data: JsonObject) -> JsonObject:
        return data

    event = Counted(FILLED.by_number, FILLED.at, FILLED.lines, FILLED.picture, FILLED.colour)
    codec = EventCodec([Counted])
    [stored] = codec.encode([event], Metadata())
    assert stored.metadata == '{"schemaVersion":2}'
    assert codec.decode("shop.Basket", "Counted", stored.event_data, None) == event


def test_aware_times_keep_their_instant() -> None:
    class Timed(BasketEvent):
        at: datetime

    event: Any = read_back(Timed(datetime(2026, 1, 1, tzinfo=UTC)))
    assert event.at == datetime(2026, 1, 1, tzinfo=UTC)
    assert event.at.tzinfo is not None
