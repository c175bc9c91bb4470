"""What others do to a MongoDB view while a group of events is being applied to it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from pymongo import AsyncMongoClient, MongoClient

from eventuary import Event, ServiceUnavailable
from eventuary.views import View, ViewContext
from eventuary.views.generation import GenerationRetired
from eventuary.views.mongodb import MongoDocuments
from eventuary.views.view_event import UpdateFailed
from tests.views.events_by_hand import view_event
from tests.views.ledger import Ledger, Opened, Paid


class Noted(Event, entity="Note"):
    """Something to be counted."""


class Note(msgspec.Struct):
    """How many events there were."""

    name: str
    count: int = 0


def noting(url: str, meanwhile: Callable[[], None]) -> View:
    """Return a view. ``meanwhile`` happens while an event is folded: what was read of the database
    has been, and what is written is not yet.
    """
    view = View("noting", MongoDocuments(url))

    @view.collection("notes", Note).on(Noted)
    def _count(note: Note, _: Noted, __: ViewContext) -> None:
        note.count += 1
        meanwhile()

    return view


def in_another_process(url: str, work: Callable[[View], Awaitable[object]]) -> None:
    """Do something with the same view over a storage of its own, as another process does."""

    async def with_storage() -> None:
        view = noting(url, lambda: None)
        await work(view)
        await view.kept.close()

    thread = threading.Thread(target=asyncio.run, args=(with_storage(),))
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


async def count(view: View, generation: int) -> int:
    """Return what a generation has counted."""
    note = await view.kept.get(generation, view.collections["notes"], "n")
    assert note is not None
    return int(note.count)


async def collections(url: str) -> set[str]:
    """Return the names of all collections."""
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        return set(await client.get_default_database().list_collection_names())


@pytest.fixture(params=["mongodb_database", "transactional_database"])
def url(request: pytest.FixtureRequest) -> str:
    """A database, without transactions and with them."""
    address = request.getfixturevalue(request.param)
    assert isinstance(address, str)
    return address


async def test_what_others_write_meanwhile_is_not_overwritten(url: str) -> None:
    """Neither where a document is new, nor where it was there; the fold is done anew."""
    others = iter(range(1, 100))
    folds = 0

    def meanwhile() -> None:
        nonlocal folds
        folds += 1
        position = next(others)
        if position <= 3:
            in_another_process(
                url,
                lambda other: other.kept.apply(
                    1, [view_event(other, position, Noted(), "n", swimlane=1)]
                ),
            )

    view = noting(url, meanwhile)
    live = await view.kept.open_live()
    await view.kept.apply(live, [view_event(view, 1, Noted(), "n")])
    assert folds == 4
    assert await count(view, live) == 4
    await view.kept.close()


async def test_a_document_that_never_rests_is_given_up_for_the_moment(url: str) -> None:
    """The group comes again later; it is no event's fault."""
    with MongoClient[dict[str, Any]](url) as client:
        notes = client.get_default_database()["noting.notes.1"]
        numbers = iter(range(1000))
        restless = False

        def meanwhile() -> None:
            if restless:
                notes.update_one({"_id": "n"}, {"$set": {"_eventuary.revision": next(numbers)}})

        view = noting(url, meanwhile)
        live = await view.kept.open_live()
        await view.kept.apply(live, [view_event(view, 1, Noted(), "n")])
        restless = True
        with pytest.raises(ServiceUnavailable, match=r"'noting': .* at each of 30 attempts"):
            await view.kept.apply(live, [view_event(view, 2, Noted(), "n")])
        assert await count(view, live) == 1
        assert next(numbers) == 30
        await view.kept.close()


async def test_what_is_written_into_a_dropped_generation_is_not_left_there(
    mongodb_database: str,
) -> None:
    """A rebuild that begins anew drops what one that is still under way is filling."""
    waiting = True

    def meanwhile() -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            in_another_process(mongodb_database, lambda other: other.kept.drop(2))

    view = noting(mongodb_database, meanwhile)
    await view.kept.open_live()
    building = await view.kept.open_building()
    with pytest.raises(GenerationRetired):
        await view.kept.apply(building, [view_event(view, 1, Noted(), "n")])
    assert not waiting
    assert await collections(mongodb_database) == {"eventuary_views", "noting.notes.1"}
    assert await view.kept.open_building() == 3, "no number is used twice"
    await view.kept.close()


async def test_two_at_once_change_what_generations_there_are(url: str) -> None:
    """Neither change is lost, whichever comes first."""
    one, other = (noting(url, lambda: None).kept for _ in range(2))
    live = await one.open_live()
    for _ in range(10):
        number = await one.open_building()
        await one.switch(number)
        opened, _ = await asyncio.gather(one.open_building(), other.drop(live))
        assert [each.number for each in await one.generations()] == [number, opened]
        await asyncio.gather(one.drop(opened), other.open_live())
        assert [each.number for each in await one.generations()] == [number]
        live = number
    await one.close()
    await other.close()


async def test_a_generation_is_dropped_with_what_the_view_has_no_more(url: str) -> None:
    """And what other views have stays, also of those whose names begin alike."""
    ledger, alike = Ledger(MongoDocuments(url)), Ledger(MongoDocuments(url), "ledger-2")
    for each in (ledger, alike):
        await each.kept.open_live()
        await each.kept.open_building()
    await ledger.kept.switch(2)
    smaller = View("ledger", MongoDocuments(url))
    await smaller.kept.drop(1)
    assert await collections(url) == {
        "eventuary_views",
        "ledger.accounts.2",
        "ledger.branches.2",
        *(f"ledger-2.{name}.{number}" for name in ("accounts", "branches") for number in (1, 2)),
    }
    for storage in (ledger.kept, alike.kept, smaller.kept):
        await storage.close()


async def test_a_collection_that_a_view_has_newly_is_made_when_it_opens(url: str) -> None:
    """In the live generation, too: events that come fill it."""
    before = View("ledger", MongoDocuments(url))
    before.collection("accounts", Note)
    assert await before.kept.open_live() == 1
    await before.kept.close()
    ledger = Ledger(MongoDocuments(url))
    assert await ledger.kept.open_live() == 1
    await ledger.kept.apply(1, [ledger.event(1, Opened("b", "Ada"))])
    assert (await ledger.branch(1)) is not None
    await ledger.kept.close()


async def test_what_a_server_refuses_undoes_the_transaction(transactional_database: str) -> None:
    """Where there is one: here the second of two documents is refused, by a user's index."""
    ledger = Ledger(MongoDocuments(transactional_database))
    live = await ledger.kept.open_live()
    async with AsyncMongoClient[dict[str, Any]](transactional_database) as client:
        branches = client.get_default_database()["ledger.branches.1"]
        await branches.create_index("totalPaid", unique=True)
    await ledger.kept.apply(live, [ledger.event(1, Paid("b", Decimal(10)), "a")])
    with pytest.raises(UpdateFailed, match="MongoDB: E11000") as failed:
        await ledger.kept.apply(live, [ledger.event(2, Paid("c", Decimal(10)), "z")])
    assert failed.value.position == 2
    assert await ledger.account(live, "z") is None
    assert await ledger.branch(live, "c") is None
    await ledger.kept.close()
