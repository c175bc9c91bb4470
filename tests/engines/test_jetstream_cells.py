"""What is read of the state stream is as new as what its reader must know."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from eventuary.engines.engine import DeadLetterRecord, Engine, KeyRecord, SubscriptionRecord
from eventuary.engines.jetstream import cells as cells_module
from eventuary.engines.jetstream.address import read_address
from eventuary.engines.jetstream.api import direct_get
from eventuary.engines.jetstream.cells import Cells, Change, Moved
from eventuary.engines.jetstream.keys import JetStreamKeyStore
from eventuary.engines.jetstream.streams import make_streams
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.wire import Wire
from tests.engines.contract import creation
from tests.nats.engines import started


class Replica:
    """The one that is asked: while it lags, it first answers what it has answered before."""

    def __init__(self) -> None:
        self.lags = False
        self._said: dict[str, Any] = {}

    async def answer(self, wire: Wire, stream: str, asked: dict[str, Any]) -> Any:
        question = f"{stream} {asked}"
        before = self._said.pop(question, None)
        if self.lags and before is not None:
            return before
        stretch = await direct_get(wire, stream, asked)
        if not self.lags:
            self._said[question] = stretch
        return stretch


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> Replica:
    replica = Replica()
    monkeypatch.setattr(cells_module, "direct_get", replica.answer)
    return replica


@pytest.fixture
async def both(nats_url: str) -> AsyncIterator[list[Cells]]:
    """The cells of one log, over two connections."""
    address = read_address(nats_url)
    subjects = Subjects(address.name)
    wires = [Wire(address) for _ in range(2)]
    async with AsyncExitStack() as stack:
        for wire in wires:
            await wire.open()
            stack.push_async_callback(wire.close)
        await make_streams(wires[0], subjects, address)
        cells = [Cells(wire, subjects) for wire in wires]
        await cells[0].prepare()
        yield cells


@pytest.fixture
async def servers(nats_url: str) -> AsyncIterator[list[Engine]]:
    async with started(nats_url) as one, started(nats_url) as other:
        await one.append(creation())
        yield [one, other]


async def test_what_was_moved_is_read_as_it_is(
    both: list[Cells], nats_url: str, replica: Replica
) -> None:
    """Else a change would be tried again and again on what was there before."""
    one, other = both
    cell = Subjects(read_address(nats_url).name).cell("one")
    await one.put(Change(cell, b"old", 0))
    before = (await one.look([cell]))[cell]
    await other.put(Change(cell, b"new", before.sequence))
    replica.lags = True
    with pytest.raises(Moved):
        await one.put(Change(cell, b"mine", before.sequence))
    assert (await one.look([cell]))[cell].data == b"new"


async def _subscribe(engine: Engine) -> SubscriptionRecord:
    record = SubscriptionRecord("default", "view", {}, (0,) * 8)
    await engine.create_subscription(record)
    return record


async def test_a_subscription_that_another_server_has_made_is_found(
    servers: list[Engine], replica: Replica
) -> None:
    one, other = servers
    assert await other.load_subscriptions("default", "view") == []
    replica.lags = True
    record = await _subscribe(one)
    [found] = await other.load_subscriptions("default", "view")
    assert found.subscriber_id == record.subscriber_id


async def test_a_dead_letter_that_another_server_has_parked_is_found(
    servers: list[Engine], replica: Replica
) -> None:
    one, other = servers
    await _subscribe(one)
    assert await other.load_dead_letters("default", "view") == []
    replica.lags = True
    letter = DeadLetterRecord(
        "default", "view", 0, 1, "1-1", "orders.Order", "one", "OrderCreated", 1, "no", 5
    )
    await one.store_dead_letter(letter)
    assert await other.load_dead_letters("default", "view") == [letter]


async def test_a_key_that_was_just_stored_is_listed(nats_url: str, replica: Replica) -> None:
    async with started(nats_url):
        pass
    address = read_address(nats_url)
    keys = JetStreamKeyStore(address, Subjects(address.name))
    assert await asyncio.to_thread(keys.list_keys) == []
    key = KeyRecord("ops", "ab" * 32, ("*",), False, 5)
    replica.lags = True
    await asyncio.to_thread(keys.add_key, key)
    assert await asyncio.to_thread(keys.list_keys) == [key]
