"""What a view's documents look like in MongoDB, and what comes back from there."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import bson
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import AsyncMongoClient

from eventuary.views import Collection, View
from eventuary.views.mongodb import MongoDocuments
from eventuary.views.mongodb.stored_form import Found, from_fields, to_bson
from tests.views.ledger import Closed, Ledger, Opened, Paid

Raw = dict[str, Any]


@pytest.fixture
def client(mongodb_database: str) -> AsyncMongoClient[Raw]:
    """What others see of the database."""
    return AsyncMongoClient(mongodb_database)


# ── What is there ─────────────────────────────────────────────────────────────────────────────────


async def test_a_document_is_its_fields_and_a_guard(
    mongodb_database: str, client: AsyncMongoClient[Raw]
) -> None:
    ledger = Ledger(MongoDocuments(mongodb_database))
    live = await ledger.kept.open_live()
    await ledger.kept.apply(
        live,
        [
            ledger.event(1, Opened("b", "Ada")),
            ledger.event(2, Paid("b", Decimal("10.50"))),
            ledger.event(9, Paid("b", Decimal(1)), "z", swimlane=5),
        ],
    )
    database = client.get_default_database()
    account = await database["ledger.accounts.1"].find_one({"_id": "a"})
    assert account is not None
    guard = account.pop("_eventuary")
    assert account == {
        "_id": "a",
        "account_id": "a",
        "owner": "Ada",
        "balance": "10.50",
        "payments": ["10.50"],
        "opened_at": "2023-11-14T22:13:20.001000Z",
    }
    assert guard["applied"] == {"0": 2}
    assert set(guard) == {"applied", "revision"}
    branch = await database["ledger.branches.1"].find_one(
        {"totalPaid": "11.50"}, {"_eventuary.revision": False}
    )
    assert branch == {
        "_id": "b",
        "branchName": "b",
        "accounts": 1,
        "totalPaid": "11.50",
        "_eventuary": {"applied": {"0": 2, "5": 9}},
    }
    await client.close()


async def test_what_is_left_of_a_deleted_document_is_its_guard(
    mongodb_database: str, client: AsyncMongoClient[Raw]
) -> None:
    """By which it does not come back when one of its events does, without the others."""
    ledger = Ledger(MongoDocuments(mongodb_database))
    live = await ledger.kept.open_live()
    paid = ledger.event(4, Paid("b", Decimal(10)), swimlane=1)
    await ledger.kept.apply(live, [paid, ledger.event(3, Closed("b"), swimlane=0)])
    await ledger.kept.apply(live, [paid])
    assert await ledger.account(live) is None
    accounts = client.get_default_database()["ledger.accounts.1"]
    assert [each async for each in accounts.find({}, {"_eventuary.revision": False})] == [
        {"_id": "a", "_eventuary": {"applied": {"0": 3, "1": 4}, "deleted": True}}
    ]
    await client.close()


async def test_a_document_without_a_guard_may_be_there_already(
    mongodb_database: str, client: AsyncMongoClient[Raw]
) -> None:
    ledger = Ledger(MongoDocuments(mongodb_database))
    live = await ledger.kept.open_live()
    accounts = client.get_default_database()["ledger.accounts.1"]
    await accounts.insert_one({"_id": "a", "account_id": "a", "owner": "Bob"})
    await ledger.kept.apply(live, [ledger.event(1, Paid("b", Decimal(10)))])
    account = await ledger.account(live)
    assert account is not None
    assert (account.owner, account.balance) == ("Bob", Decimal(10))
    await client.close()


# ── What comes back ───────────────────────────────────────────────────────────────────────────────


class Colour(Enum):
    """An enumeration."""

    RED = "red"


@dataclass
class Part:
    """Something nested."""

    name: str
    sizes: dict[int, float] = field(default_factory=dict)


class Everything(msgspec.Struct):
    """All that a document may consist of."""

    key: str
    number: int = 0
    ratio: float = 0.0
    flag: bool = False
    nothing: None = None
    text: str = ""
    raw: bytes = b""
    amount: Decimal = Decimal(0)
    moment: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    day: date = date(2020, 1, 1)
    name: UUID = UUID(int=0)
    colour: Colour = Colour.RED
    choice: int | str | None = None
    many: list[Part] = []
    some: set[int] = set()
    pair: tuple[int, str] = (0, "")
    by_name: dict[str, int] = {}


_TEXT = st.text(st.characters(codec="utf-8"))
_NUMBER = st.integers(-(2**63), 2**63 - 1)
_PARTS = st.builds(
    Part, _TEXT, st.dictionaries(_NUMBER, st.floats(allow_nan=False, allow_infinity=False))
)
_DOCUMENTS = st.builds(
    Everything,
    key=_TEXT,
    number=_NUMBER,
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    flag=st.booleans(),
    text=_TEXT,
    raw=st.binary(),
    amount=st.decimals(allow_nan=False),
    moment=st.datetimes(timezones=st.just(UTC)),
    day=st.dates(),
    name=st.uuids(),
    choice=st.none() | _NUMBER | _TEXT,
    many=st.lists(_PARTS, max_size=3),
    some=st.sets(_NUMBER, max_size=3),
    pair=st.tuples(_NUMBER, _TEXT),
    by_name=st.dictionaries(_TEXT.filter(lambda name: "\0" not in name), _NUMBER, max_size=3),
)

_everything: Collection[Everything] = View(
    "form", MongoDocuments("mongodb://127.0.0.1:1/d")
).collection("everything", Everything)


@given(document=_DOCUMENTS)
def test_a_document_comes_back_as_it_was(document: Everything) -> None:
    stored = to_bson(_everything, "k", document, {"0": 7}, 1)
    found = Found.of(bson.decode(stored.raw))
    assert (found.key, found.applied, found.revision) == ("k", {"0": 7}, 1)
    assert found.fields is not None
    assert from_fields(_everything, "key", found.fields) == document
