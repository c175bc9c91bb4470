"""Several servers over one storage, as event stores of one process; and what tests ask of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import Leasing
from eventuary.engines.opening import open_engine
from eventuary.engines.postgres.leasing import PostgresLeasing
from eventuary.events import NewEvent
from tests.event_store.recorder import Recorder

SELECTION = {"T": ["E"]}

#: Seconds within which what is changed on one server has reached the others.
SOON = 60.0


@pytest.fixture
def lease_seconds() -> float:
    """Longer than any machine is busy: only the tests of their end let leases end."""
    return 60.0


@pytest.fixture
def leasing_class() -> type[Leasing]:
    """What the engines of ``postgres_url`` hold their leases by."""
    return PostgresLeasing


@pytest.fixture
async def stores(
    postgres_url: str,
    leasing_class: type[Leasing],
    lease_seconds: float,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[list[EmbeddedEventStore]]:
    monkeypatch.setattr(leasing_class, "lease_seconds", lease_seconds)
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(EmbeddedEventStore(open_engine(postgres_url)))
            for _ in range(3)
        ]


async def subscribe(
    store: EmbeddedEventStore,
    recorder: Recorder | None = None,
    policy: DeliveryPolicy | None = None,
) -> Recorder:
    recorder = recorder or Recorder()
    recorder.consumer = await store.subscribe("s", "view", SELECTION, recorder, policy=policy)
    return recorder


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(SOON):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {SOON:g} s: {what}") from None


def held(store: EmbeddedEventStore) -> set[int]:
    """The swimlanes that a store holds of the subscription."""
    return {
        number
        for each in store._dispatcher.open_subscriptions()
        if each.tenure is not None
        for number in each.tenure.leases
    }


async def shared_out(stores: Sequence[EmbeddedEventStore], *shares: int) -> None:
    await until(lambda: [len(held(each)) for each in stores] == list(shares), f"shares {shares}")
    everything = [number for each in stores for number in held(each)]
    assert sorted(everything) == sorted(set(everything))


async def append(store: EmbeddedEventStore, number: int, entity: str, version: str | None) -> str:
    event = [NewEvent("E", str(number))]
    if version is None:
        return (await store.create("s", "T", event, entity_id=entity)).entity_version
    return (await store.append("s", "T", entity, version, event)).entity_version
