"""A process that feeds a view goes on with the generation that is live by now."""

from decimal import Decimal
from typing import Any

import pytest

from eventuary import running
from eventuary.delivery.consumer import Consumer
from eventuary.embedded import EmbeddedEventStore
from eventuary.errors import ServiceUnavailable
from eventuary.testing import eventually
from eventuary.views import feeding
from eventuary.views.generation import GenerationState
from eventuary.views.retiring import drop_retired
from eventuary.views.storage import DocumentStorage
from tests.views.bank import open_account, pay
from tests.views.ledger import BranchDocument, Ledger


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
        await eventually(lambda: refused == 2)
        assert run[ledger.view].trouble == "the store is away"
        away = False
        await open_account(lasting_store, pay(1))
        await eventually(lambda: run[ledger.view].shown == 2)
        assert await ledger.branches.get("b") == BranchDocument("b", 2, Decimal(2))
        await eventually(lambda: run[ledger.view].trouble is None)


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
        await eventually(lambda: tidied == 1)
        [left] = await ledger.kept.generations()
        assert (left.number, left.state) == (2, GenerationState.LIVE)
    assert tidied == 1, "now and then, not with each group"
