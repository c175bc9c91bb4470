"""The end of the HTTP side: nothing new is taken, what was asked is answered."""

import asyncio

import pytest

from eventuary.limits import Limits
from eventuary.server import http_protocol
from tests.server.rest.conftest import HttpSide, Opening
from tests.server.rest.wire import DEADLINE, Wire, create, find


async def drained(http: HttpSide) -> None:
    async with asyncio.timeout(DEADLINE):
        await http.listener.drain()


async def test_requests_under_way_are_answered(open_http: Opening) -> None:
    async with open_http() as http:
        wires = [await http.connect() for _ in range(20)]
        for number, wire in enumerate(wires):
            await wire.send(create(f"a{number}") + create(f"b{number}"))
        await http.until(lambda: http.store.waiting_appends > 0 or http.store.head > 0)
        await drained(http)
        answered = 0
        for wire in wires:
            rest = await wire.end()
            assert rest.count(b"HTTP/1.1 200 OK") == rest.count(b"entityVersion")
            answered += rest.count(b"HTTP/1.1 200 OK")
        # What was taken is stored and answered; what was not taken is neither.
        assert answered == http.store.head > 0


async def test_a_request_that_is_coming_in_is_answered(http: HttpSide, wire: Wire) -> None:
    data = create("late")
    await wire.send(data[:70])
    await http.until(lambda: any(each.answering for each in http.state.watched))
    draining = asyncio.create_task(drained(http))
    await http.until(lambda: http.state.draining)
    answer = await wire.ask(data[70:])
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await wire.end() == b""
    await draining


async def test_a_request_that_does_not_come_in_is_not_waited_for(
    open_http: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "_DRAIN_GRACE", 0.2)
    async with open_http(Limits(keep_alive_timeout=1)) as http:  # a sweep each quarter second
        wire = await http.connect()
        await wire.send(create()[:70])
        await http.until(lambda: any(each.answering for each in http.state.watched))
        await drained(http)
        assert (await wire.answer()).status == 408
        assert await wire.end() == b""


async def test_idle_connections_are_closed_and_new_ones_refused(http: HttpSide, wire: Wire) -> None:
    assert (await wire.ask(find("x"))).status == 200
    await drained(http)
    assert await wire.end() == b""
    with pytest.raises(ConnectionRefusedError):
        await http.connect()
