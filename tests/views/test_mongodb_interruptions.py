"""A MongoDB view counts each event once, whatever is cut or killed in the middle."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import uuid4

import pytest

from eventuary import ServiceUnavailable, running
from eventuary.testing import eventually, memory_store
from eventuary.views.mongodb import MongoDocuments
from tests.mongodb.database_url import database_url
from tests.mongodb.mongo_process import MongoProcess
from tests.remote.proxy import Fault, Proxy
from tests.views.bank import open_account, pay
from tests.views.ledger import BranchDocument, Ledger, Opened, Paid

TEN = Paid("b", Decimal(10))

#: More bytes than any exchange has: it passes.
_ALL = 1_000_000_000

#: Of the group that is cut: the catalogue twice, and of each of two collections a find, an
#: insertion and a replacement.
_EXCHANGES = 8

#: No heart-beat of the driver's falls among the exchanges that are counted; and it does not go
#: past the proxy, to where the server says that it is.
_THROUGH = "?heartbeatFrequencyMS=600000&directConnection=true"


@pytest.fixture(params=["single", "replica set"])
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
    """A storage in it; it does not wait long for a server that is not there."""
    storage = MongoDocuments(database_url(f"{server.url}/?serverSelectionTimeoutMS=300", name))
    yield storage
    await storage.close()


@asynccontextmanager
async def by_way_of_a_proxy(
    server: MongoProcess, name: str, view: str
) -> AsyncIterator[tuple[Proxy, Ledger]]:
    """A view in it, and what is between that and the server."""
    async with Proxy(server.port) as proxy:
        address = database_url(f"mongodb://127.0.0.1:{proxy.port}/{_THROUGH}", name)
        storage = MongoDocuments(address)
        try:
            yield proxy, Ledger(storage, view)
        finally:
            await storage.close()


# ── Connections ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("of_request", [True, False], ids=["unheard", "unanswered"])
async def test_any_exchange_may_be_cut(server: MongoProcess, name: str, of_request: bool) -> None:
    """A group comes again, and what a part of it has done already is not done twice."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_cut_one(server, name, before, of_request))
            for before in range(_EXCHANGES + 2)
        ]
    cut = [task.result() for task in tasks]
    # One more where the driver ends its transaction.
    assert cut[:_EXCHANGES] == [True] * _EXCHANGES
    assert cut[-1] is False, "there are more exchanges than were cut"


async def _cut_one(server: MongoProcess, name: str, before: int, of_request: bool) -> bool:
    """Cut the exchange that comes after so many; return whether there was one."""
    async with by_way_of_a_proxy(server, name, f"ledger-{before}") as (proxy, ledger):
        live = await ledger.kept.open_live()
        opened = ledger.event(1, Opened("b", "Ada"))
        await ledger.kept.apply(live, [opened])
        group = [opened, ledger.event(2, TEN), ledger.event(3, Paid("c", Decimal(5)), "z")]
        proxy.faults.extend([Fault(of_request=False, passing=_ALL)] * before)
        proxy.faults.append(Fault(of_request, passing=0))
        with contextlib.suppress(ServiceUnavailable):  # not where the driver tries again by itself
            await ledger.kept.apply(live, group)
        was_cut = not proxy.faults
        proxy.faults.clear()
        await ledger.kept.apply(live, group)
        assert await ledger.branch(live) == BranchDocument("b", 1, Decimal(10))
        assert await ledger.branch(live, "c") == BranchDocument("c", 0, Decimal(5))
        for key, payments in (("a", [Decimal(10)]), ("z", [Decimal(5)])):
            account = await ledger.account(live, key)
            assert account is not None
            assert account.payments == payments
    return was_cut


@pytest.mark.parametrize("server", ["replica set"], indirect=True)
async def test_where_there_are_transactions_a_group_is_there_as_a_whole(
    server: MongoProcess, name: str, directly: MongoDocuments
) -> None:
    """Wherever its process ends: both documents that an event changes are there, or neither is."""

    async def ends_after(exchanges: int) -> bool:
        view = f"ledger-{exchanges}"
        async with by_way_of_a_proxy(server, name, view) as (proxy, ledger):
            live = await ledger.kept.open_live()
            gone = asyncio.Event()

            async def leave() -> None:
                gone.set()

            proxy.faults.extend([Fault(of_request=False, passing=_ALL)] * exchanges)
            proxy.faults.append(Fault(of_request=True, passing=0, first=leave))
            process = asyncio.create_task(
                ledger.kept.apply(live, [ledger.event(1, Opened("b", "Ada"))])
            )
            ended = asyncio.create_task(gone.wait())
            await asyncio.wait({process, ended}, return_when=asyncio.FIRST_COMPLETED)
            for task in (process, ended):
                task.cancel()
        other = Ledger(directly, view)
        account, branch = await other.account(live), await other.branch(live)
        assert (account is None) == (branch is None)
        return account is not None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ends_after(exchanges)) for exchanges in range(8)]
    assert [task.result() for task in tasks] == [
        False,  # the catalogue
        False,  # two finds
        False,
        False,  # two insertions
        False,
        False,  # the commit
        True,  # the catalogue
        True,
    ]


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
    failures = 0
    for first in range(0, len(events), 100):
        group = events[first : first + 100]
        kill = None
        if first == 300:  # while the group is under way
            kill = asyncio.create_task(asyncio.to_thread(server.kill))
        if first == 900:  # before it
            await asyncio.to_thread(server.kill)
        while True:
            try:
                await ledger.kept.apply(live, group)
            except ServiceUnavailable:
                failures += 1
            else:
                break
            if not server.running:
                await asyncio.to_thread(server.start)
        if kill is not None:
            await kill
        if not server.running:
            await asyncio.to_thread(server.start)
    assert failures >= 1
    for number in range(7):
        paid = Decimal(len(range(number or 7, 1501, 7)))
        assert await ledger.branch(live, f"b{number}") == BranchDocument(f"b{number}", 0, paid)
    for number in range(50):
        account = await ledger.account(live, f"a{number}")
        assert account is not None
        assert len(account.payments) == 30


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

        async def waits() -> None:
            assert "ServerSelectionTimeoutError" in str(run[ledger.view].trouble)

        await eventually(waits, within=30)
        await asyncio.to_thread(server.start)
        await run.caught_up()
        assert await ledger.branches.get("b") == BranchDocument("b", 51, Decimal(51))
        assert run[ledger.view].trouble is None
