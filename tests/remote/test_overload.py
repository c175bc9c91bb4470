"""Servers that refuse for now, or do not answer for a while; and more calls than connections."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from eventuary.errors import ServiceUnavailable
from eventuary.events import NewEvent
from eventuary.remote import RemoteEventStore
from tests.acceptance.server_process import ServerProcess
from tests.remote.conftest import Ports
from tests.remote.proxy import Proxy

EVENTS = [NewEvent("E", "")]


async def log_of(http_port: int) -> Counter[str]:
    """Return how many events the log has of each entity."""
    found: Counter[str] = Counter()
    position = 0
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http_port}", timeout=30) as client:
        while True:
            answer = await client.get(f"/v1/spaces/default/log?after={position}&limit=5000")
            page = answer.raise_for_status().json()["events"]
            if not page:
                return found
            position = page[-1]["position"]
            found.update(event["entityId"] for event in page)


async def test_overload_passes(command: Callable[..., ServerProcess]) -> None:
    server = command("--limit", "waiting_appends=1")
    url = Ports(server.http_port, server.stomp_port).url
    async with RemoteEventStore(url, retry_for=100) as store:
        done = await asyncio.gather(*(store.create("default", "T", EVENTS) for _ in range(64)))
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.http_port}", timeout=30
    ) as client:
        metrics = (await client.get("/metrics")).text
    assert 'status="503"' in metrics, "nothing was refused"
    assert await log_of(server.http_port) == {each.entity_id: 1 for each in done}


async def test_a_full_disk_is_waited_for(command: Callable[..., ServerProcess]) -> None:
    server = command()
    async with Proxy(server.http_port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with RemoteEventStore(url) as store:
            await store.create("default", "T", EVENTS)
            server.limit_file_size(1024)
            creating = asyncio.ensure_future(
                store.create("default", "T", [NewEvent("E", "x" * 100_000)])
            )
            async with asyncio.timeout(60):
                while proxy.exchanges < 4:
                    await asyncio.sleep(0.01)
            assert not creating.done()
            server.limit_file_size(None)
            created = await creating
            assert len(await store.history("default", "T", created.entity_id)) == 1
        # One attempt, which has its full time: of a second one it might not hear the end.
        async with RemoteEventStore(url, retry_for=0) as store:
            server.limit_file_size(1024)
            with pytest.raises(ServiceUnavailable, match="nothing was written"):
                await store.create("default", "T", [NewEvent("E", "x" * 100_000)])


async def test_a_server_that_does_not_answer(command: Callable[..., ServerProcess]) -> None:
    server = command()
    async with Proxy(server.http_port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with RemoteEventStore(url, answer_timeout=0.3) as store:
            await store.create("default", "T", EVENTS)
            server.process.send_signal(signal.SIGSTOP)
            creating = [
                asyncio.ensure_future(store.create("default", "T", EVENTS)) for _ in range(3)
            ]
            async with asyncio.timeout(60):  # the first attempts are given up
                while proxy.exchanges < 1 + 6:
                    await asyncio.sleep(0.01)
            # It will carry out all of them.
            server.process.send_signal(signal.SIGCONT)
            done = await asyncio.gather(*creating)
    log = await log_of(server.http_port)
    assert len(log) == 4
    assert {each.entity_id: 1 for each in done}.items() <= log.items()


async def test_more_calls_than_connections(server: Ports) -> None:
    async with Proxy(server.http) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with RemoteEventStore(url, connections=3) as store:
            done = await asyncio.gather(*(store.create("default", "T", EVENTS) for _ in range(200)))
        assert proxy.connections == 3
    assert await log_of(server.http) == {each.entity_id: 1 for each in done}


async def test_calls_that_give_up_leave_their_turn_to_others(server: Ports) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    # A turn that was lost is seen as a hang: no call gives up for want of one.
    patient = RemoteEventStore(server.url, connections=1, retry_for=0, answer_timeout=100)
    async with patient as store:
        calls = [asyncio.ensure_future(store.create("default", "T", EVENTS)) for _ in range(150)]
        before = 0
        while waiting := [each for each in calls if not each.done()]:
            # One has ended, so it has just become the next one's turn: some give up now.
            if len(waiting) != before and chance.random() < 0.3:
                waiting[0].cancel()
            before = len(waiting)
            await asyncio.sleep(0)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        await store.create("default", "T", EVENTS)
    cancelled = sum(isinstance(each, asyncio.CancelledError) for each in outcomes)
    assert 0 < cancelled < 150, f"seed {seed}"
    log = await log_of(server.http)
    assert max(log.values()) == 1, f"seed {seed}"
    done = [each.entity_id for each in outcomes if not isinstance(each, BaseException)]
    assert len(done) == 150 - cancelled, f"seed {seed}"
    assert log.keys() >= set(done), f"seed {seed}"


async def test_calls_wait_for_a_connection_only_so_long(http_proxy: Proxy) -> None:
    url = f"http://127.0.0.1:{http_proxy.port}"
    http_proxy.freeze()
    async with RemoteEventStore(url, connections=1, answer_timeout=1.0, retry_for=0.5) as store:
        async with asyncio.timeout(30):
            outcomes = await asyncio.gather(
                *(store.create("default", "T", EVENTS) for _ in range(5)), return_exceptions=True
            )
        http_proxy.thaw()
    assert all(isinstance(each, ServiceUnavailable) for each in outcomes)
    texts = Counter("not known" in str(each) for each in outcomes)
    assert texts == {True: 1, False: 4}, "one was sent, and the others were not"


async def test_closing_finishes_what_is_under_way(server: Ports) -> None:
    store = await RemoteEventStore(server.url).__aenter__()
    creating = [asyncio.ensure_future(store.create("default", "T", EVENTS)) for _ in range(100)]
    await asyncio.sleep(0)
    await store.__aexit__(None, None, None)
    assert all(each.done() for each in creating)
    done = [each.result() for each in creating]
    assert await log_of(server.http) == {each.entity_id: 1 for each in done}
    with pytest.raises(ServiceUnavailable, match="not open"):
        await store.create("default", "T", EVENTS)
    async with store:  # it may be opened again
        await store.create("default", "T", EVENTS)


async def test_closing_does_not_wait_for_a_server_that_is_away(server: Ports) -> None:
    async with Proxy(server.http) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
    store = await RemoteEventStore(url).__aenter__()  # where nobody listens any more
    creating = asyncio.ensure_future(store.create("default", "T", EVENTS))
    await asyncio.sleep(0)
    async with asyncio.timeout(20):  # retry_for is 30
        await store.__aexit__(None, None, None)
    with pytest.raises(ServiceUnavailable, match="nothing was written"):
        await creating
