"""The embedded event store over SQLite: the contract, and what only the server uses of it."""

import asyncio
from pathlib import Path

import pytest

from eventuary.embedded import EmbeddedEventStore
from eventuary.engines.engine import LogQuery
from eventuary.engines.opening import open_engine
from eventuary.errors import BadRequest, EntityExists, ServiceUnavailable
from eventuary.event_store import EventStore
from eventuary.events import Append, Appended, NewEvent
from eventuary.limits import Limits
from tests.event_store.contract import EventStoreContract, created


class TestEmbeddedEventStore(EventStoreContract):
    @pytest.fixture(autouse=True)
    def _storage(self, tmp_path: Path) -> None:
        self.url = f"sqlite:{tmp_path / 'eventuary.db'}"

    async def open(self) -> EmbeddedEventStore:
        store = EmbeddedEventStore(open_engine(self.url))
        await store.start()
        return store

    async def shut(self, store: EventStore) -> None:
        assert isinstance(store, EmbeddedEventStore)
        await store.stop()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'eventuary.db'}"


def append(number: int = 0, entity_id: str | None = None) -> Append:
    return Append("default", "T", entity_id, None, created(number))


async def test_what_waits_for_the_disk_is_bounded(url: str) -> None:
    store = EmbeddedEventStore(open_engine(url), limits=Limits(waiting_appends=5))
    await store.start()
    waiting = [store.create("default", "T", created()) for _ in range(5)]
    with pytest.raises(ServiceUnavailable, match="overload: 5 appends wait"):
        await store.create("default", "T", created())
    await asyncio.gather(*waiting)
    await store.create("default", "T", created())
    assert (store.waiting_appends, store.engine.counts.waiting_characters) == (0, 0)
    assert store.statistics.appends == 6
    assert store.statistics.append_failures == 1
    await store.stop()


async def test_several_appends_are_checked_before_any_is_done(url: str) -> None:
    store = EmbeddedEventStore(open_engine(url), limits=Limits(appends_per_call=3))
    await store.start()
    with pytest.raises(BadRequest, match=r"appends\[1\].entityId"):
        await store.append_all([append(), append(entity_id="a/b")], atomic=False)
    with pytest.raises(BadRequest, match="4 appends, over the limit appends_per_call of 3"):
        await store.append_all([append()] * 4, atomic=False)
    with pytest.raises(BadRequest, match="appends: is empty"):
        await store.append_all([], atomic=False)
    assert store.head == 0
    outcomes = await store.append_all([append(entity_id="a"), append(entity_id="a")], atomic=False)
    assert [type(outcome) for outcome in outcomes] == [Appended, EntityExists]
    assert (store.statistics.appends, store.statistics.append_conflicts) == (1, 1)
    await store.stop()


async def test_followers_are_woken_by_commits_and_by_the_end(url: str) -> None:
    store = EmbeddedEventStore(open_engine(url))
    await store.start()
    follower = asyncio.ensure_future(store.head_after(0))
    await asyncio.sleep(0)
    assert not follower.done()
    await store.create("default", "T", [NewEvent("E", "")])
    assert await follower == 1
    assert await store.head_after(0) == 1
    assert len((await store.read_log(LogQuery("default", 0))).events) == 1
    follower = asyncio.ensure_future(store.head_after(1))
    await asyncio.sleep(0)
    await store.stop()
    assert await follower == 1
    with pytest.raises(ServiceUnavailable, match="not open"):
        store.create("default", "T", created())
