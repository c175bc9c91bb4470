"""Rubbish on both ports, round after round: the server shrugs it off, and serves everybody else.

Random bytes, requests and frames with something wrong, connections that are left half-way, that
drip, that never read, and thousands that come and go. After each round the server has closed them
all by itself, nothing of it is in its log, and its memory is what it was.
"""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.server_process import ServerProcess
from tests.torture import hostile_clients as hostile
from tests.torture.conftest import Begin, Start
from tests.torture.mutating import mutated, random_bytes
from tests.torture.ordinary_client import PATIENCE, OrdinaryClient
from tests.torture.run import Run
from tests.torture.valid_traffic import HTTP, STOMP, UPGRADE, WEBSOCKET

pytestmark = pytest.mark.torture

#: Short, so that a round is short: seconds that the server waits for its clients.
_LIMITS = [
    argument
    for limit in ("request_timeout=1.5", "write_timeout=1.5", "keep_alive_timeout=3")
    for argument in ("--limit", limit)
]

#: Seconds within which the server has closed what a round has left behind.
_CLOSED_WITHIN = 20.0

#: Rounds after which memory has reached its usual size.
_WARM_UP = 4

#: Bytes that it may grow from there, whatever the number of rounds: allocators keep some of what
#: they have handed out, and names that mutations have made up stay in the catalogue.
_MEMORY_BOUND = 16 * 1024 * 1024

#: Space of an entity of 7 MB: Linux has buffers of up to 4 MB for what a socket is to send.
_BIG = "big"


def _descriptors(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


async def _throw_at_most(at_once: int, all_of_them: list[Coroutine[Any, Any, None]]) -> None:
    places = asyncio.Semaphore(at_once)

    async def one(client: Coroutine[Any, Any, None]) -> None:
        async with places:
            await client

    async with asyncio.TaskGroup() as group:
        for each in all_of_them:
            group.create_task(one(each))


async def _throw(port: int, data: bytes, run: Run, opening: bytes = b"") -> None:
    hostile.check_answer(data, await hostile.throw(port, data, run.chance, opening))


async def _round(server: ServerProcess, run: Run, usual: int) -> None:
    """One of everything. Those who hold on are released once the server has dropped them."""
    chance, http, stomp = run.chance, server.http_port, server.stomp_port
    released = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            for port, samples in ((http, HTTP), (stomp, STOMP)):
                data = chance.choice(samples)
                part = data[: chance.randrange(min(len(data), 40))]
                group.create_task(hostile.hold(port, part, released))
                group.create_task(hostile.drip(port, samples[0][:-1], released))
            group.create_task(hostile.ask_and_never_read(http, _BIG, released))
            group.create_task(
                hostile.subscribe_and_never_read(stomp, f"never-{number}", _BIG, released)
            )
        clients = [_throw(http, mutated(chance, HTTP), run) for _ in range(400)]
        clients += [_throw(stomp, mutated(chance, STOMP), run) for _ in range(400)]
        clients += [
            _throw(http, mutated(chance, WEBSOCKET), run, opening=UPGRADE) for _ in range(50)
        ]
        clients += [_throw(port, random_bytes(chance), run) for port in (http, stomp) * 10]
        clients += [hostile.come_and_go(port) for port in (http, stomp) * 250]
        chance.shuffle(clients)
        await _throw_at_most(40, clients)
        try:
            async with asyncio.timeout(_CLOSED_WITHIN):
                while _descriptors(server) > usual:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            open_now = _descriptors(server)
            raise AssertionError(
                f"{run.hint}: {open_now} descriptors are open, {usual} before"
            ) from None
        finally:
            released.set()


async def test_rubbish(start: Start, begin: Begin) -> None:
    run = begin(60)
    server = start(*_LIMITS)
    with Rest(server.url, space=_BIG) as rest:
        rest.create("Thing", [Event("Made", "x" * 120_000)] * 60, entity_id="big")
    ordinary = OrdinaryClient(server)
    rounds, memory = 0, list[int]()
    try:
        while not ordinary.served:
            ordinary.check()
            await asyncio.sleep(0.01)
        usual = _descriptors(server)
        while not run.over or len(memory) <= _WARM_UP:
            await _round(server, run, usual)
            ordinary.check()
            assert server.process.poll() is None, f"it ended; its log:\n{server.log}"
            rounds += 1
            memory.append(server.memory)
            if run.quiet:
                run.say(
                    f"{rounds} rounds; {ordinary.served} times served, the slowest in "
                    f"{ordinary.slowest:.1f} s; {memory[-1] / 1024**2:.0f} MiB"
                )
    finally:
        ordinary.stop()
    ordinary.check()
    assert ordinary.slowest < PATIENCE
    assert ordinary.given_up < ordinary.served
    grown = min(memory[-3:]) - max(memory[:_WARM_UP])
    run.say(f"memory grew by {grown / 1024**2:.1f} MiB; {[each // 1024**2 for each in memory]}")
    assert grown < _MEMORY_BOUND, f"{run.hint}: resident bytes after each round: {memory}"
    assert "failed unexpectedly" not in server.log
    assert server.terminate() == 0
