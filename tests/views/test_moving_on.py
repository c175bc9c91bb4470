"""A process that feeds a view goes on with the generation that is live by now."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from eventuary import running
from eventuary.delivery.consumer import Consumer
from eventuary.embedded import EmbeddedEventStore
from eventuary.errors import ServiceUnavailable
from eventuary.testing import eventually
from eventuary.views import feeding
from eventuary.views.generation import Generation, GenerationState
from eventuary.views.retiring import drop_retired
from eventuary.views.storage import DocumentStorage
from tests.views.bank import open_account, pay
from tests.views.conftest import MakeStorage
from tests.views.ledger import BranchDocument, Ledger


class CatchingUp:
    """What is subscribed to has caught up when the test says so: one future a consumer."""

    def __init__(self, store: EmbeddedEventStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[asyncio.Future[None]] = []
        self._monkeypatch = monkeypatch
        self._subscribe = store.subscribe
        monkeypatch.setattr(store, "subscribe", self.subscribe)

    async def subscribe(self, *what: Any, **how: Any) -> Consumer:
        consumer = await self._subscribe(*what, **how)
        done = asyncio.get_running_loop().create_future()
        self.done.append(done)
        self._monkeypatch.setattr(consumer, "caught_up", lambda: asyncio.shield(done))
        return consumer


async def test_a_store_that_is_not_there_when_it_moves_on_is_asked_again(
    lasting_store: EmbeddedEventStore, storage: DocumentStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe, refused, away = lasting_store.subscribe, 0, True

    async def perhaps(*what: Any, **how: Any) -> Consumer:
        nonlocal refused
        if away:
            refused += 1
            raise ServiceUnavailable("the store is away")
        return await subscribe(*what, **how)

    ledger = Ledger(storage)
    await open_account(lasting_store, pay(1))
    async with running(lasting_store, ledger.view) as run:
        await run.caught_up()
        monkeypatch.setattr(lasting_store, "subscribe", perhaps)
        await ledger.kept.switch(await ledger.kept.open_building())
        await eventually(lambda: refused == 2, within=60)
        assert run[ledger.view].trouble == "the store is away"
        away = False
        await open_account(lasting_store, pay(1))
        await eventually(lambda: run[ledger.view].shown == 2, within=60)
        assert await ledger.branches.get("b") == BranchDocument("b", 2, Decimal(2))
        await eventually(lambda: run[ledger.view].trouble is None, within=60)


async def test_a_view_that_is_never_idle_drops_what_is_retired(
    lasting_store: EmbeddedEventStore, storage: DocumentStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidied = 0

    async def drop(*what: Any) -> None:
        nonlocal tidied
        await drop_retired(*what, kept_for=0)
        tidied += 1

    monkeypatch.setattr(feeding, "drop_retired", drop)
    monkeypatch.setattr(feeding, "_LOOK_EVERY", 3600)
    ledger = Ledger(storage)
    await ledger.kept.open_live()
    await ledger.kept.switch(await ledger.kept.open_building())
    async with running(lasting_store, ledger.view) as run:
        for _ in range(5):
            await open_account(lasting_store, pay(1))
            await run.caught_up()
        await eventually(lambda: tidied == 1, within=60)
        [left] = await ledger.kept.generations()
        assert (left.number, left.state) == (2, GenerationState.LIVE)
    assert tidied == 1, "now and then, not with each group"


async def test_what_was_retired_long_ago_is_not_read_any_more(
    lasting_store: EmbeddedEventStore, storage: DocumentStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process has slept: others drop a generation a minute after it was retired."""
    ledger = Ledger(storage)
    generations = ledger.kept.generations

    async def long_ago() -> list[Generation]:
        return [
            msgspec.structs.replace(each, since=each.since - 31_000) for each in await generations()
        ]

    CatchingUp(lasting_store, monkeypatch)
    monkeypatch.setattr(ledger.kept, "generations", long_ago)
    async with running(lasting_store, ledger.view) as run:
        await ledger.kept.switch(await ledger.kept.open_building())
        await eventually(lambda: run[ledger.view].shown == 2, within=60)


async def test_what_was_dropped_is_not_read_any_more(
    lasting_store: EmbeddedEventStore, make_storage: MakeStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, elsewhere = make_storage(), make_storage()
    ledger, other = Ledger(storage), Ledger(elsewhere)
    generations, dropped = ledger.kept.generations, asyncio.Event()

    async def late() -> list[Generation]:
        await dropped.wait()
        return await generations()

    CatchingUp(lasting_store, monkeypatch)
    async with running(lasting_store, ledger.view) as run:
        monkeypatch.setattr(ledger.kept, "generations", late)
        await other.kept.switch(await other.kept.open_building())
        await other.kept.drop(1)
        dropped.set()
        await eventually(lambda: run[ledger.view].shown == 2, within=60)
    await storage.close()
    await elsewhere.close()


async def test_what_is_not_fed_any_more_is_not_shown(
    lasting_store: EmbeddedEventStore, storage: DocumentStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has caught up when the next one is live already."""
    ledger = Ledger(storage)
    catching_up = CatchingUp(lasting_store, monkeypatch)
    async with running(lasting_store, ledger.view) as run:
        work = run[ledger.view]
        await ledger.kept.switch(await ledger.kept.open_building())
        await eventually(lambda: len(catching_up.done) == 2, within=60)
        showing = work._showing
        assert showing is not None
        await ledger.kept.switch(await ledger.kept.open_building())
        await eventually(lambda: len(catching_up.done) == 3, within=60)
        _, second, third = catching_up.done
        second.set_result(None)
        await showing
        assert work.shown == 1
        third.set_result(None)
        await eventually(lambda: work.shown == 3, within=60)
