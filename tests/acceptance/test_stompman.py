"""stompman, an asynchronous STOMP client that reconnects by itself, unmodified."""

import asyncio
import json

import msgspec
import stompman

from tests.acceptance.conftest import Start
from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.stomp_client import Body
from tests.acceptance.waiting import PATIENCE


async def test_it_reconnects_to_a_restarted_server_and_loses_nothing(start: Start) -> None:
    server = start()
    destination = json.dumps(
        {"subscriberId": "stompman", "entityTypesAndEvents": {"Order": ["Ordered"]}}
    )
    received: list[str] = []
    arrived = asyncio.Condition()

    async def handle(frame: stompman.MessageFrame) -> None:
        received.append(msgspec.json.decode(frame.body, type=Body).id)
        async with arrived:
            arrived.notify_all()

    async def wait_for(ids: list[str]) -> None:
        async with asyncio.timeout(PATIENCE), arrived:
            await arrived.wait_for(lambda: set(ids) <= set(received))

    def append(count: int) -> list[str]:
        with Rest(server.url) as rest:
            return rest.create("Order", [Event("Ordered")] * count).event_ids

    async with stompman.Client(
        servers=[
            stompman.ConnectionParameters(
                host="127.0.0.1", port=server.stomp_port, login="id", passcode="secret"
            )
        ],
        connect_retry_attempts=20,
        connect_retry_interval=1,
    ) as client:
        subscription = await client.subscribe(
            destination, handle, on_suppressed_exception=_unexpected
        )
        ids = await asyncio.to_thread(append, 30)
        await wait_for(ids)
        await asyncio.to_thread(server.restart)
        ids += await asyncio.to_thread(append, 30)
        await wait_for(ids)
        await subscription.unsubscribe()

    first_times = list(dict.fromkeys(received))
    assert first_times == ids


def _unexpected(error: Exception, frame: stompman.MessageFrame) -> None:
    raise AssertionError(f"{error} for {frame}")
