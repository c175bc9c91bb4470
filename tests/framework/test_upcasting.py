"""Old events, as they lie in stores today (fixtures/*.json), are read in the present shape."""

from pathlib import Path

import msgspec
import pytest

from eventuary import (
    Aggregate,
    Event,
    EventStore,
    JsonObject,
    Repository,
    UnreadableEvent,
    apply,
    connect,
    upcaster,
)
from eventuary.events import NewEvent
from eventuary.framework.event_codec import EventCodec

FIXTURES = Path(__file__).parent / "fixtures"


class Fixture(msgspec.Struct, rename="camel"):
    """An entity as it was stored."""

    entity_type: str
    entity_id: str
    events: list[NewEvent]


def fixture(name: str) -> Fixture:
    return msgspec.json.decode((FIXTURES / name).read_bytes(), type=Fixture)


class Person(msgspec.Struct, frozen=True):
    name: str


class InvoiceEvent(Event, entity="billing.Invoice"): ...


class InvoiceDrawnUp(InvoiceEvent, version=3, formerly=("InvoiceIssued",)):
    """It was called InvoiceIssued, had a total in pounds, then cents, then a customer in parts."""

    customer: Person
    cents: int
    currency: str


class InvoicePaid(InvoiceEvent, formerly=("Payment", "PaymentReceived")):
    cents: int
    by: str = "unknown"


@upcaster(InvoiceDrawnUp, from_version=1)
def in_cents(data: JsonObject) -> JsonObject:
    return {"customer": data["customer"], "cents": round(data["total"] * 100)}


@upcaster(InvoiceDrawnUp, from_version=2)
def with_currency(data: JsonObject) -> JsonObject:
    return {**data, "customer": {"name": data["customer"]}, "currency": "GBP"}


class Invoice(Aggregate):
    drawn_up: int = 0
    owed: int = 0

    @apply
    def _drawn_up(self, event: InvoiceDrawnUp) -> None:
        assert event == InvoiceDrawnUp(Person("Ada Lovelace"), 1250, "GBP")
        self.drawn_up += 1
        self.owed += event.cents

    @apply
    def _paid(self, event: InvoicePaid) -> None:
        self.owed -= event.cents


async def stored(store: EventStore, name: str) -> str:
    entity = fixture(name)
    await store.create("default", entity.entity_type, entity.events, entity_id=entity.entity_id)
    return entity.entity_id


def test_each_version_is_read_in_the_present_shape() -> None:
    entity = fixture("invoice.json")
    codec = EventCodec([InvoiceDrawnUp, InvoicePaid])
    events = [
        codec.decode(entity.entity_type, each.event_type, each.event_data, each.metadata)
        for each in entity.events
    ]
    ada = InvoiceDrawnUp(Person("Ada Lovelace"), 1250, "GBP")
    assert events == [ada, ada, ada, InvoicePaid(1250), InvoicePaid(1250, "card")]


async def test_an_aggregate_is_loaded_from_events_of_all_versions() -> None:
    async with connect("memory:") as store:
        invoices = Repository(store, Invoice)
        invoice = await invoices.load(await stored(store, "invoice.json"))
        assert (invoice.drawn_up, invoice.owed) == (3, 3 * 1250 - 2 * 1250)
        history = await invoices.history(invoice.id)
        assert [each.metadata.schema_version for each in history] == [1, 2, 3, 1, 1]
        assert history[2].metadata.actor == "ada"
        assert history[4].metadata.correlation_id == "c-1"


def test_former_names_are_selected_by_subscribers_too() -> None:
    assert EventCodec([InvoiceDrawnUp, InvoicePaid]).selection == {
        "billing.Invoice": [
            "InvoiceDrawnUp",
            "InvoiceIssued",
            "InvoicePaid",
            "Payment",
            "PaymentReceived",
        ]
    }


async def test_a_version_newer_than_known_is_refused() -> None:
    """Also by a class of version 1: an old program must not misread what a newer one wrote."""
    entity = fixture("invoice_of_the_future.json")
    codec = EventCodec([InvoiceDrawnUp, InvoicePaid])
    for event, refusal in zip(
        entity.events,
        [
            "InvoiceDrawnUp was stored in version 4, this program knows up to 3: upgrade it",
            "InvoicePaid was stored in version 2, this program knows up to 1: upgrade it",
        ],
        strict=True,
    ):
        with pytest.raises(UnreadableEvent, match=refusal):
            codec.decode(entity.entity_type, event.event_type, event.event_data, event.metadata)
    async with connect("memory:") as store:
        invoice_id = await stored(store, "invoice_of_the_future.json")
        with pytest.raises(UnreadableEvent, match="upgrade it"):
            await Repository(store, Invoice).load(invoice_id)


def test_a_missing_upcaster_is_refused_when_the_codec_is_made() -> None:
    class Reminded(InvoiceEvent, version=4):
        text: str

    @upcaster(Reminded, from_version=2)
    def _second(data: JsonObject) -> JsonObject:
        return data

    with pytest.raises(
        TypeError,
        match=r"Reminded has version 4 and no upcaster from version 1, 3: write "
        r"@upcaster\(Reminded, from_version=1\)",
    ):
        EventCodec([Reminded])
    with pytest.raises(TypeError, match="no upcaster from version 1, 3"):

        class Reminders(Aggregate):
            @apply
            def _reminded(self, event: Reminded) -> None: ...


def test_an_upcaster_that_is_of_no_use_is_refused() -> None:
    class Revoked(InvoiceEvent, version=2): ...

    for version in (0, 2, 3):
        with pytest.raises(TypeError, match=f"an upcaster from version {version} is of no use"):
            upcaster(Revoked, from_version=version)
    upcaster(Revoked, from_version=1)(dict)
    with pytest.raises(TypeError, match="has an upcaster from version 1 already"):
        upcaster(Revoked, from_version=1)


def test_whatever_an_upcaster_raises_names_the_event() -> None:
    codec = EventCodec([InvoiceDrawnUp])
    with pytest.raises(
        UnreadableEvent,
        match=r"'InvoiceIssued' of 'billing.Invoice' can't be read as InvoiceDrawnUp: 'customer'",
    ):
        codec.decode("billing.Invoice", "InvoiceIssued", "{}", None)
    with pytest.raises(UnreadableEvent, match=r"Expected `object`"):
        codec.decode("billing.Invoice", "InvoiceIssued", "[]", None)
