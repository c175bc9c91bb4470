"""The log as server-sent events: past and coming, resumed, filtered, ended."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.event_store.recorder import PATIENCE
from tests.server.v1.calls import append_all, creation, new_event, refused
from tests.server.v1.conftest import ADMIN, RunningServer

URL = "/v1/spaces/default/log/stream"


class Stream:
    """Reads a stream as the specification of server-sent events says."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.last_event_id = ""
        self.heartbeats = 0

    async def next(self) -> dict[str, Any] | None:
        """Return the next event; None when the stream has ended."""
        data: list[str] = []
        async for line in self._lines:
            if line.startswith("id: "):
                self.last_event_id = line.removeprefix("id: ")
            elif line.startswith("data: "):
                data.append(line.removeprefix("data: "))
            elif line == ": heartbeat":
                self.heartbeats += 1
            elif not line and data:
                event: dict[str, Any] = json.loads("\n".join(data))
                assert self.last_event_id == str(event["position"])
                return event
        return None

    async def positions(self, number: int) -> list[int]:
        async with asyncio.timeout(PATIENCE):
            events = [await self.next() for _ in range(number)]
        return [event["position"] for event in events if event is not None]


@asynccontextmanager
async def streaming(
    client: httpx.AsyncClient, *, last_event_id: str | None = None, **query: Any
) -> AsyncIterator[Stream]:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    async with client.stream("GET", URL, params=query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer)


async def test_past_events_and_then_coming_ones(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    await append_all(client, *(creation() for _ in range(1200)))  # more than a page
    async with streaming(client) as stream:
        assert await stream.positions(1200) == list(range(1, 1201))
        await server.store.create("default", "Order", [new_event(7)])
        await server.store.create("other", "Order", [new_event(8)])
        await server.store.create("default", "Order", [new_event(9)])
        assert await stream.positions(2) == [1201, 1203]


async def test_an_event_looks_as_in_a_page(client: httpx.AsyncClient) -> None:
    await append_all(client, creation("a"))
    page = (await client.get("/v1/spaces/default/log")).json()
    async with streaming(client) as stream:
        assert await stream.next() == page["events"][0]


async def test_last_event_id_goes_before_after(client: httpx.AsyncClient) -> None:
    await append_all(client, *(creation() for _ in range(10)))
    async with streaming(client, after=8) as stream:
        assert await stream.positions(2) == [9, 10]
    async with streaming(client, after=0, last_event_id="7") as stream:
        assert await stream.positions(3) == [8, 9, 10]


async def test_after_head_shows_what_occurs_from_now_on(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    await append_all(client, creation())
    async with streaming(client, after="head") as stream:
        await server.store.create("default", "Order", [new_event(1)])
        assert await stream.positions(1) == [2]


async def test_a_client_that_comes_back_misses_nothing(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    seen: list[int] = []
    last = None
    for number in range(5):
        await append_all(client, *(creation() for _ in range(3)))
        async with streaming(client, last_event_id=last) as stream:
            seen += await stream.positions(2 if number < 4 else 7)
            last = stream.last_event_id
    assert seen == list(range(1, 16))


async def test_heartbeats_carry_the_position_that_was_searched(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    await append_all(client, *(creation() for _ in range(5)))
    async with streaming(client, eventType="Rare") as stream:
        reading = asyncio.create_task(stream.next())
        async with asyncio.timeout(PATIENCE):
            while stream.heartbeats < 3:
                await asyncio.sleep(0.01)
        assert stream.last_event_id == "5"
        await server.store.create("default", "Order", [new_event(1, "Rare")])
        event = await asyncio.wait_for(reading, 10)
        assert event is not None
        assert event["position"] == 6


async def test_heartbeats_come_although_other_events_occur(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    async with streaming(client, eventType="Rare") as stream:
        reading = asyncio.create_task(stream.next())
        async with asyncio.timeout(PATIENCE):
            while stream.heartbeats < 3:
                await server.store.create("default", "Order", [new_event()])
        reading.cancel()


async def test_a_slow_client_costs_one_page(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    """Events of 40 MB in all; who reads none of them has the server read but a few pages."""
    long = new_event().__class__("Long", "x" * 100_000)
    for _ in range(10):
        await server.store.create("default", "Order", [long] * 40)
    pages = 0
    read_log = server.store.read_log

    def counting(query: Any) -> Any:
        nonlocal pages
        pages += 1
        return read_log(query)

    server.store.read_log = counting  # type: ignore[method-assign]  # counts what is read
    async with streaming(client) as stream:
        assert await stream.positions(1) == [1]
        settled = -1
        while settled != pages:
            settled = pages
            await asyncio.sleep(0.2)
        assert pages < 100  # of the 200 that there are: the socket's buffers take some
        assert len(await stream.positions(399)) == 399


async def test_a_stream_ends_with_its_client(server: RunningServer) -> None:
    before = asyncio.all_tasks()
    async with server.client() as client, streaming(client):
        async with asyncio.timeout(PATIENCE):
            while not server.store._followers:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(PATIENCE):
        while server.store._followers or asyncio.all_tasks() - before:
            await asyncio.sleep(0.01)


async def test_a_stream_ends_with_its_client_although_rubbish_waits_for_an_answer(
    server: RunningServer,
) -> None:
    """The answer to what is broken is owed after the stream, which has no end of its own."""
    port = int(server.url.rpartition(":")[2])
    key = base64.b64encode(":".join(ADMIN).encode())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET %b HTTP/1.1\r\nhost: x\r\nauthorization: Basic %b\r\n\r\nrubbish\r\n\r\n"
        % (URL.encode(), key)
    )
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        await reader.readuntil(b": heartbeat\n")
        writer.write_eof()
        await reader.read()  # to the end
    writer.close()
    async with asyncio.timeout(PATIENCE):
        while server.store._followers:
            await asyncio.sleep(0.01)


async def test_a_stream_ends_cleanly_when_the_server_does(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    async with streaming(client) as stream:
        reading = asyncio.create_task(stream.next())
        async with asyncio.timeout(PATIENCE):
            while stream.heartbeats < 1:
                await asyncio.sleep(0.01)
        server.sources.draining = True
        assert await asyncio.wait_for(reading, 10) is None  # an end, not an error


async def test_a_stream_ends_cleanly_when_the_store_stops(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    async with streaming(client) as stream:
        reading = asyncio.create_task(stream.next())
        async with asyncio.timeout(PATIENCE):
            while stream.heartbeats < 1:
                await asyncio.sleep(0.01)
        server.store._stopping = True
        server.store._wake_followers()
        assert await asyncio.wait_for(reading, 10) is None
        server.store._stopping = False


@pytest.mark.parametrize("query", ["after=-1", "after=middle", "wait=1", "after="])
async def test_a_bad_query_is_refused(client: httpx.AsyncClient, query: str) -> None:
    refused(await client.get(f"{URL}?{query}"), 400, "bad_request")


async def test_a_bad_last_event_id_is_refused(client: httpx.AsyncClient) -> None:
    for text in ("x", "-1", "99999999999999999999"):
        answer = await client.get(URL, headers={"Last-Event-ID": text})
        assert "Last-Event-ID" in refused(answer, 400, "bad_request")


async def test_a_bad_space_is_refused_before_the_stream_begins(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/spaces/a%2Fb/log/stream")
    assert "space" in refused(answer, 400, "bad_request")


async def test_it_ends_with_its_key(client: httpx.AsyncClient, server: RunningServer) -> None:
    key = (await client.post("/v1/keys", json={"keyId": "reader"})).json()
    async with server.client((key["keyId"], key["secret"])) as holder, streaming(holder) as stream:
        await append_all(client, creation())
        assert await stream.next() is not None
        assert (await client.delete("/v1/keys/reader")).status_code == 200
        await append_all(client, creation())
        async with asyncio.timeout(PATIENCE):
            assert await stream.next() is None, "what comes after is not for it"
