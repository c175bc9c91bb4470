"""A MongoDB view counts each event once, whatever is cut or killed in the middle."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import uuid4

import pytest

from eventuary import ServiceUnavailable, running
from eventuary.testing import memory_store
from eventuary.views.collection import DocumentUpdate
from eventuary.views.generation import GenerationRetired
from eventuary.views.mongodb import MongoDocuments
from eventuary.views.view_event import ViewEvent
from tests.mongodb.command_proxy import CommandProxy, Cut
from tests.mongodb.database_url import database_url
from tests.mongodb.mongo_process import MongoProcess
from tests.views.bank import open_account, pay
from tests.views.ledger import BranchDocument, Ledger, Opened, Paid

TEN = Paid("b", Decimal(10))

#: The driver does not go past the proxy, to where the server says that it is.
_THROUGH = "?directConnection=true"


@pytest.fixture(params=["single", pytest.param("replica set", marks=pytest.mark.torture)])
def server(request: pytest.FixtureRequest) -> MongoProcess:
    """A server of ours without transactions, and one that has them."""
    name = "mortal_mongodb" if request.param == "single" else "replica_set_process"
    process = request.getfixturevalue(name)
    assert isinstance(process, MongoProcess)
    return process


@pytest.fixture
def name() -> str:
    """The name of a database that nobody else uses."""
    return f"eventuary_test_{uuid4().hex}"


@pytest.fixture
async def directly(server: MongoProcess, name: str) -> AsyncIterator[MongoDocuments]:
    """A storage in it."""
    storage = MongoDocuments(database_url(server.url, name))
    yield storage
    await storage.close()


@asynccontextmanager
async def by_way_of_a_proxy(
    server: MongoProcess, name: str, view: str
) -> AsyncIterator[tuple[CommandProxy, Ledger]]:
    """A view in it, and what is between that and the server."""
    async with CommandProxy(server.port) as proxy:
        address = database_url(f"mongodb://127.0.0.1:{proxy.port}/{_THROUGH}", name)
        storage = MongoDocuments(address)
        try:
            yield proxy, Ledger(storage, view)
        finally:
            await storage.close()


# ── Connections ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("heard", [False, True], ids=["unheard", "unanswered"])
async def test_any_command_may_be_cut(server: MongoProcess, name: str, heard: bool) -> None:
    """A group comes again, and what a part of it has done already is not done twice."""

    async def cut_one(after: int) -> list[str]:
        async with by_way_of_a_proxy(server, name, f"ledger-{after}") as (proxy, ledger):
            live = await ledger.kept.open_live()
            opened = ledger.event(1, Opened("b", "Ada"))
            await ledger.kept.apply(live, [opened])
            group = [opened, ledger.event(2, TEN), ledger.event(3, Paid("c", Decimal(5)), "z")]
            before = len(proxy.commands)
            proxy.cut = Cut(before + after, heard)
            with contextlib.suppress(ServiceUnavailable):  # not if the driver itself tries again
                await ledger.kept.apply(live, group)
            assert proxy.was_cut.is_set() == (after < len(commands))
            told = proxy.commands[before:]
            await ledger.kept.apply(live, group)
            assert await ledger.branch(live) == BranchDocument("b", 1, Decimal(10))
            assert await ledger.branch(live, "c") == BranchDocument("c", 0, Decimal(5))
            for key, payments in (("a", [Decimal(10)]), ("z", [Decimal(5)])):
                account = await ledger.account(live, key)
                assert account is not None
                assert account.payments == payments
            return told

    # The catalogue, each of two collections read, then each written, and the catalogue again.
    commands = ["find", "find", "find", *(["insert", "update"] * 2), "find"]
    if server.has_transactions:
        commands.insert(-1, "commitTransaction")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cut_one(after)) for after in range(len(commands) + 1)]
    assert tasks[-1].result() == commands, "what is not cut"


async def test_what_was_being_dropped_is_not_switched_to(
    server: MongoProcess, name: str, directly: MongoDocuments
) -> None:
    """Wherever its process ends: it is as it was, or nobody gets it, and it is dropped later."""

    async def is_there(after: int) -> bool:
        view = f"ledger-{after}"
        async with by_way_of_a_proxy(server, name, view) as (proxy, ledger):
            await ledger.kept.open_live()
            number = await ledger.kept.open_building()
            await ledger.kept.apply(number, [ledger.event(1, Opened("b", "Ada"))])
            proxy.cut = Cut(len(proxy.commands) + after, heard=True, for_good=True)
            process = asyncio.create_task(ledger.kept.drop(number))
            await asyncio.wait_for(proxy.was_cut.wait(), 30)
            process.cancel()
            await asyncio.wait({process})
        seen = Ledger(directly, view)
        try:
            await seen.kept.switch(number)
        except GenerationRetired:
            await seen.kept.drop(number)
            assert [each.number for each in await seen.kept.generations()] == [1]
            return False
        assert await seen.branch(number) == BranchDocument("b", 1)
        assert await seen.account(number) is not None
        return True

    # The catalogue is read and written, the collections are listed, two are dropped.
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(is_there(after)) for after in range(5)]
    assert [each.result() for each in tasks] == [True, False, False, False, False]


@pytest.mark.torture
@pytest.mark.parametrize("server", ["replica set"], indirect=True)
async def test_where_there_are_transactions_a_group_is_there_as_a_whole(
    server: MongoProcess, name: str, directly: MongoDocuments
) -> None:
    """Wherever its process ends: both documents that an event changes are there, or neither is."""

    async def is_there(heard: bool, after: int) -> bool:
        view = f"ledger-{after}-{heard}"
        async with by_way_of_a_proxy(server, name, view) as (proxy, ledger):
            live = await ledger.kept.open_live()
            proxy.cut = Cut(len(proxy.commands) + after, heard, for_good=True)
            process = asyncio.create_task(
                ledger.kept.apply(live, [ledger.event(1, Opened("b", "Ada"))])
            )
            await asyncio.wait_for(proxy.was_cut.wait(), 30)
            process.cancel()
            await asyncio.wait({process})
            proxy.cut = None  # so that the storage can be closed
        other = Ledger(directly, view)
        account, branch = await other.account(live), await other.branch(live)
        assert (account is None) == (branch is None)
        return account is not None

    # The catalogue, two documents read, two written, the commit, and the catalogue.
    for heard, done in ((False, [False] * 6 + [True]), (True, [False] * 5 + [True] * 2)):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(is_there(heard, after)) for after in range(7)]
        assert [task.result() for task in tasks] == done


# ── Servers ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_server_that_is_killed_in_the_middle_is_gone_on_with(
    server: MongoProcess, directly: MongoDocuments
) -> None:
    ledger = Ledger(directly)
    live = await ledger.kept.open_live()
    events = [
        ledger.event(number, Paid(f"b{number % 7}", Decimal(1)), f"a{number % 50}")
        for number in range(1, 1501)
    ]
    for first in range(0, len(events), 100):
        group = events[first : first + 100]
        applying = asyncio.create_task(_again_until_applied(ledger, live, group))
        if first in (300, 900):
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await applying
    for number in range(7):
        paid = Decimal(len(range(number or 7, 1501, 7)))
        assert await ledger.branch(live, f"b{number}") == BranchDocument(f"b{number}", 0, paid)
    for number in range(50):
        account = await ledger.account(live, f"a{number}")
        assert account is not None
        assert len(account.payments) == 30


async def _again_until_applied(
    ledger: Ledger, live: int, group: list[ViewEvent[DocumentUpdate]]
) -> None:
    while True:
        try:
            return await ledger.kept.apply(live, group)
        except ServiceUnavailable:
            continue  # the driver has waited for the server before it said so


async def test_a_running_view_waits_for_its_server(
    server: MongoProcess, directly: MongoDocuments
) -> None:
    ledger = Ledger(directly)
    async with memory_store() as store, running(store, ledger.view) as run:
        await open_account(store, pay(1))
        await run.caught_up()
        await asyncio.to_thread(server.kill)
        for _ in range(50):
            await open_account(store, pay(1))
        await asyncio.to_thread(server.start)
        await run.caught_up()
        assert await ledger.branches.get("b") == BranchDocument("b", 51, Decimal(51))
        assert run[ledger.view].trouble is None
