"""What the log says of failed logins, whichever wire they come by, and that it says so seldom."""

import asyncio
import base64
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from eventuary.seldom import Seldom
from eventuary.server.app import Server
from eventuary.server.auth import ApiKey
from eventuary.server.settings import Settings

DEADLINE = 10.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    running = Server(
        Settings(
            http_port=0,
            stomp_port=0,
            engine=f"sqlite:{tmp_path / 'e.db'}",
            api_keys=(ApiKey("orders", "s3cret"),),
        )
    )
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Returns the lines so far."""

    def said() -> list[str]:
        found = [each for each in caplog.records if each.name == "eventuary.auth"]
        assert all(each.levelno == logging.WARNING for each in found)
        return [each.getMessage() for each in found]

    return said


async def ask(server: Server, path: str, key: tuple[str, str] | None, **headers: str) -> int:
    """Send a request; return the answer's status."""
    url = f"http://127.0.0.1:{server.http_port}{path}"
    async with httpx.AsyncClient(auth=key, headers=headers, timeout=DEADLINE) as client:
        return (await client.get(url)).status_code


async def by_entity_route(server: Server, key_id: str, secret: str) -> None:
    assert await ask(server, "/entity/default/Order/1", (key_id, secret)) == 401


async def by_v1(server: Server, key_id: str, secret: str) -> None:
    assert await ask(server, "/v1/spaces/default/log", (key_id, secret)) == 401


def connect_frame(key_id: str, secret: str) -> bytes:
    return f"CONNECT\naccept-version:1.2\nlogin:{key_id}\npasscode:{secret}\n\n\0".encode()


async def by_stomp(server: Server, key_id: str, secret: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.stomp_port)
    writer.write(connect_frame(key_id, secret))
    async with asyncio.timeout(DEADLINE):
        assert (await reader.read()).startswith(b"ERROR\n")
    writer.close()


async def by_websocket(server: Server, key_id: str, secret: str) -> None:
    async with asyncio.timeout(DEADLINE):
        async with connect(f"ws://127.0.0.1:{server.http_port}/stomp") as websocket:
            await websocket.send(connect_frame(key_id, secret))
            answer = await websocket.recv()
    assert isinstance(answer, bytes)
    assert answer.startswith(b"ERROR\n")


WAYS = [by_entity_route, by_v1, by_stomp, by_websocket]


@pytest.mark.parametrize("fail", WAYS)
async def test_the_line_names_the_key_and_where_it_came_from(
    server: Server,
    lines: Callable[[], list[str]],
    fail: Callable[[Server, str, str], Awaitable[None]],
) -> None:
    await fail(server, "orders", "guess")
    [line] = lines()
    assert re.fullmatch(r"a login failed: key 'orders', from 127\.0\.0\.1:[1-9]\d{3,4}", line)
    await fail(server, "nobody", "s3cret")
    assert lines() == [line], "not another one within ten seconds"


async def test_one_line_in_ten_seconds_counts_the_others(
    server: Server, lines: Callable[[], list[str]]
) -> None:
    now = 0.0
    server.authenticator._failed_logins = Seldom(clock=lambda: now)
    for _ in range(3):
        await by_entity_route(server, "a", "guess")
        await by_v1(server, "a", "guess")
    now = 10.1
    await by_v1(server, "b", "guess")
    [first, second] = lines()
    assert first.startswith("a login failed: key 'a', from ")
    assert second.startswith("a login failed: key 'b', from ")
    assert second.endswith(" (and 5 more since the last such line)")


async def test_a_key_id_can_not_pretend_to_be_another_line(
    server: Server, lines: Callable[[], list[str]]
) -> None:
    await by_entity_route(server, "x\n2026-01-01 ERROR all is lost" + "y" * 1000, "guess")
    [line] = lines()
    assert "\n" not in line
    assert line.startswith(r"a login failed: key 'x\n2026-01-01 ERROR all is losty")
    assert len(line) < 200
    assert "guess" not in line


async def test_what_is_no_failed_login(server: Server, lines: Callable[[], list[str]]) -> None:
    """No credentials, none that can be read, a key that may not: they are told, not logged."""
    no_colon = base64.b64encode(b"no colon").decode()
    for path in ("/entity/default/Order/1", "/v1/spaces/default/log"):
        assert await ask(server, path, None) == 401
        assert await ask(server, path, None, authorization="Bearer x") == 401
        assert await ask(server, path, None, authorization=f"Basic {no_colon}") == 401
        assert await ask(server, path, ("orders", "s3cret")) == 200
    assert lines() == []
