"""connect: from a URL to an event store, and what is left when it closes."""

from pathlib import Path

import pytest

from eventuary import ConfigurationError, Repository, ServiceUnavailable, connect
from eventuary import connecting as connecting_module
from eventuary.connecting import VanishingEventStore
from eventuary.remote.store import RemoteEventStore
from tests.framework.shop import Order, OrderApproved, OrderCreated

CREATED = OrderCreated("ada", "1")  # type: ignore[arg-type]  # a decimal's text will do


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which stores in memory are made."""
    monkeypatch.setattr(connecting_module, "_IN_MEMORY", tmp_path)
    return tmp_path


def folders(memory: Path) -> list[Path]:
    return list(memory.iterdir())


async def test_memory_is_gone_when_it_closes(memory: Path) -> None:
    store = connect("memory:")
    assert folders(memory) == [], "nothing is made before it opens"
    async with store:
        [folder] = folders(memory)
        assert folder.stat().st_mode & 0o777 == 0o700
        await Repository(store, Order).save(CREATED, entity_id="o")
    assert folders(memory) == []
    async with store:
        assert not await Repository(store, Order).exists("o"), "opened again, it is empty"
        await Repository(store, Order).save(CREATED, entity_id="o")
    assert folders(memory) == []


async def test_two_in_memory_are_two(memory: Path) -> None:
    async with connect("memory:") as one, connect("memory:") as other:
        await Repository(one, Order).save(CREATED, entity_id="o")
        assert not await Repository(other, Order).exists("o")
        assert len(folders(memory)) == 2


async def test_one_that_is_open_can_t_be_opened_again(memory: Path) -> None:
    async with VanishingEventStore() as store:
        with pytest.raises(ConfigurationError, match="the event store is open already"):
            await store.__aenter__()
        await Repository(store, Order).save(CREATED)
    assert folders(memory) == []


async def test_sqlite_stays(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'shop.db'}"
    async with connect(url) as store:
        order = await Repository(store, Order).save([CREATED, OrderApproved()])
        with pytest.raises(ConfigurationError, match=r"shop\.db"):
            async with connect(url):
                pass
    async with connect(url) as store:
        assert await Repository(store, Order).load(order.id)


async def test_outside_its_block_it_is_unavailable(tmp_path: Path) -> None:
    store = connect(f"sqlite:{tmp_path / 'shop.db'}")
    orders = Repository(store, Order)
    with pytest.raises(ServiceUnavailable, match="not open: use it within `async with`"):
        await orders.save(CREATED)
    async with store:
        await orders.save(CREATED)
    with pytest.raises(ServiceUnavailable):
        await orders.save(CREATED)


def test_a_server_s() -> None:
    assert isinstance(connect("http://127.0.0.1:8080"), RemoteEventStore)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("memory:shop", "'memory:shop': memory: takes nothing behind the colon"),
        (
            "oracle:shop",
            r"'oracle:shop' names no event store: .*write http://host:8080, sqlite:PATH",
        ),
        ("shop.db", r"'shop.db' names no event store: .*sqlite:PATH or memory:"),
        ("", "'' names no event store"),
    ],
)
def test_what_is_no_url_of_a_store_is_refused(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        connect(url)
