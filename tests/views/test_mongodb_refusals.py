"""What can't be a view's document in MongoDB is the failure of an event, or of the declaration."""

from typing import Any

import msgspec
import pytest
from pymongo import AsyncMongoClient

from eventuary import Event
from eventuary.views import Collection, View, ViewContext
from eventuary.views.mongodb import MongoDocuments
from eventuary.views.view_event import UpdateFailed
from tests.views.events_by_hand import view_event
from tests.views.ledger import Ledger, Opened

Raw = dict[str, Any]


@pytest.fixture
def client(mongodb_database: str) -> AsyncMongoClient[Raw]:
    """What others see of the database."""
    return AsyncMongoClient(mongodb_database)


class Counted(Event, entity="Counter"):
    """Something for a document of any kind."""

    what: Any


class Counter(msgspec.Struct):
    """Takes whatever it is given."""

    name: str
    what: Any = None
    seen: int = 0


def counting(url: str) -> tuple[View, Collection[Counter]]:
    """Return a view whose documents take whatever comes."""
    view = View("counting", MongoDocuments(url))
    counters = view.collection("counters", Counter)

    @counters.on(Counted)
    def _note(counter: Counter, event: Counted, _: ViewContext) -> None:
        if event.what is not None:
            counter.what = event.what
        counter.seen += 1

    return view, counters


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        (2**63, "OverflowError: MongoDB can only handle up to 8-byte ints"),
        ("\ud800", "UnicodeEncodeError: 'utf-8' codec can't encode"),
        ({"a\0b": 1}, "InvalidDocument: .* must not contain the NULL byte"),
        (object(), "TypeError: Encoding objects of type object is unsupported"),
        (
            "x" * (16 * 1024 * 1024),
            r"document 'a' of collection 'counters': 167773\d\d bytes; MongoDB takes 16777216 at",
        ),
    ],
    ids=["integer", "surrogate", "NUL", "object", "size"],
)
async def test_what_mongodb_does_not_take_is_the_failure_of_its_event(
    mongodb_database: str, what: object, complaint: str
) -> None:
    """Of that event, not of those of the same document before it or behind."""
    view, counters = counting(mongodb_database)
    live = await view.kept.open_live()

    def counted(position: int, value: object) -> Any:
        return view_event(view, position, Counted(value), "a", swimlane=position % 2)

    group = [counted(1, "one"), counted(2, "two"), counted(3, what), counted(4, None)]
    with pytest.raises(UpdateFailed, match=complaint) as failed:
        await view.kept.apply(live, group)
    assert (failed.value.swimlane, failed.value.position) == (1, 3)
    assert await view.kept.get(live, counters, "a") is None
    await view.kept.apply(live, [*group[:2], *group[3:]])
    assert await view.kept.get(live, counters, "a") == Counter("a", "two", 3)


async def test_a_document_of_another_form_is_the_failure_of_its_next_event(
    mongodb_database: str, client: AsyncMongoClient[Raw]
) -> None:
    view, _ = counting(mongodb_database)
    live = await view.kept.open_live()
    counters = client.get_default_database()["counting.counters.1"]
    await counters.insert_one({"_id": "a", "name": "a", "seen": "many"})
    with pytest.raises(UpdateFailed, match="Expected `int`, got `str`"):
        await view.kept.apply(live, [view_event(view, 1, Counted(1), "a")])
    await client.close()


async def test_what_a_server_refuses_is_the_failure_of_its_event(
    mongodb_database: str, client: AsyncMongoClient[Raw]
) -> None:
    """Here by an index of the user's own; the other documents of the group are written."""
    view, counters = counting(mongodb_database)
    live = await view.kept.open_live()
    stored = client.get_default_database()["counting.counters.1"]
    await stored.create_index("what", unique=True)
    events = [
        view_event(view, number, Counted(what), f"c{number}")
        for number, what in enumerate(["same", "other", "same"], 1)
    ]
    with pytest.raises(UpdateFailed, match=r"MongoDB: E11000 duplicate key .* what_1") as failed:
        await view.kept.apply(live, events)
    assert failed.value.position == 3
    await view.kept.apply(live, events[:2])
    assert await view.kept.get(live, counters, "c2") == Counter("c2", "other", 1)
    with pytest.raises(UpdateFailed, match="MongoDB: E11000 duplicate key") as failed:
        await view.kept.apply(live, [view_event(view, 4, Counted("same"), "c2")])
    assert failed.value.position == 4
    await client.close()


async def test_a_key_that_is_not_unicode_is_the_events_failure(mongodb_database: str) -> None:
    ledger = Ledger(MongoDocuments(mongodb_database))
    live = await ledger.kept.open_live()
    with pytest.raises(UpdateFailed, match=r"key: '\\ud800' of collection 'branches' is not te"):
        await ledger.kept.apply(live, [ledger.event(1, Opened("\ud800", "Ada"))])
    assert await ledger.branch(live, "\ud800") is None


class Row(msgspec.Struct, array_like=True):
    """Its JSON has no names."""

    key: str


class Taken(msgspec.Struct):
    """It has a field that is MongoDB's."""

    key: str = msgspec.field(name="_id")


class Guarded(msgspec.Struct):
    """It has a field that is the guard's."""

    key: str
    guard: int = msgspec.field(default=0, name="_eventuary")


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (Row, "Row has the form of a list; MongoDB keeps fields with names"),
        (Taken, "Taken has a field '_id', which is not its own in MongoDB"),
        (Guarded, "Guarded has a field '_eventuary', which is not its own in MongoDB"),
    ],
)
async def test_documents_without_a_form_are_refused_when_the_view_opens(
    mongodb_database: str, document: type[object], complaint: str
) -> None:
    view = View("form", MongoDocuments(mongodb_database))
    view.collection("things", document)
    with pytest.raises(TypeError, match=f"collection 'things': {complaint}"):
        await view.kept.open_live()
    assert await view.kept.generations() == []
