"""HTTP clients beside each other: appends/s and processor time a call, against a real server.

    python -m bench.remote_http                     all, at 1, 8 and 64 calls at once, on both loops
    python -m bench.remote_http run CLIENT LOOP CALLS SECONDS PORT          one of them

CLIENT is ``ours`` (the remote event store), ``httpx``, or ``aiohttp`` where that is installed. Each
runs in a process of its own; at 64 the raw load generator stands beside them.
"""

import asyncio
import gc
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from bench import events
from bench.processes import rate, run, server

_WARM_UP = 0.7
_CALLS = (1, 8, 64)
_SECONDS = 3.0

_Call = Callable[[], Awaitable[object]]


async def _ours(stack: AsyncExitStack, port: int) -> _Call:
    from eventuary.events import NewEvent
    from eventuary.remote import RemoteEventStore

    store = await stack.enter_async_context(RemoteEventStore(f"http://a:b@127.0.0.1:{port}"))
    event = NewEvent(events.EVENT_TYPE, events.DATA)
    return lambda: store.create("default", events.ENTITY_TYPE, [event])


def _request(port: int) -> tuple[str, bytes, dict[str, str]]:
    headers = {"content-type": "application/json"}
    body = events.create().partition(b"\r\n\r\n")[2]
    return f"http://127.0.0.1:{port}/entity/default", body, headers


async def _httpx(stack: AsyncExitStack, port: int) -> _Call:
    import httpx

    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    client = await stack.enter_async_context(httpx.AsyncClient(limits=limits))
    url, body, headers = _request(port)

    async def call() -> None:
        answer = await client.post(url, content=body, headers=headers)
        assert answer.status_code == 200, answer.text

    return call


async def _aiohttp(stack: AsyncExitStack, port: int) -> _Call:
    aiohttp = importlib.import_module("aiohttp")
    connector = aiohttp.TCPConnector(limit=64)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    url, body, headers = _request(port)

    async def call() -> None:
        async with session.post(url, data=body, headers=headers) as answer:
            text = await answer.read()
            assert answer.status == 200, text

    return call


_CLIENTS = {"ours": _ours, "httpx": _httpx, "aiohttp": _aiohttp}
_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


async def _load(client: str, calls: int, seconds: float, port: int) -> dict[str, float]:
    done = 0
    stopping = False
    async with AsyncExitStack() as stack:
        call = await _CLIENTS[client](stack, port)

        async def work() -> None:
            nonlocal done
            while not stopping:
                await call()
                done += 1

        workers = [asyncio.ensure_future(work()) for _ in range(calls)]
        await asyncio.sleep(_WARM_UP)
        done, began, processor = 0, time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        figures = {
            "rate": done / (time.perf_counter() - began),
            "microseconds": (time.process_time() - processor) / done * 1e6,
        }
        stopping = True
        await asyncio.gather(*workers)
    return figures


def _compare() -> None:
    clients = [name for name in _CLIENTS if name == "ours" or importlib.util.find_spec(name)]
    folder = tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd())
    with folder as directory, server(Path(directory)) as ours:
        for calls in _CALLS:
            for client in clients:
                for loop in _LOOPS:
                    taken = run("remote_http", "run", client, loop, calls, _SECONDS, ours.http)
                    figures = f"{taken['rate']:,.0f} creates/s, {taken['microseconds']:,.0f} µs"
                    print(f"{client} on {loop}, {calls} at once: {figures}")
        raw = rate("load_http", ours.http, 64, _SECONDS, "create")
        print(f"raw load generator, 64 at once: {raw:,.0f} creates/s")


def main() -> None:
    """Compare, or run one."""
    if len(sys.argv) == 1:
        _compare()
        return
    _, client, loop, calls, seconds, port = sys.argv[1:]
    gc.disable()
    with asyncio.Runner(loop_factory=_LOOPS[loop]) as runner:
        print(json.dumps(runner.run(_load(client, int(calls), float(seconds), int(port)))))


if __name__ == "__main__":
    main()
