"""A server over JetStream whose nodes stand still: what it knows no fate of is done once."""

import asyncio
from collections.abc import Callable

import pytest

from eventuary.events import Appended, NewEvent
from eventuary.remote import RemoteEventStore
from tests.acceptance.server_process import ServerProcess
from tests.nats.cluster import NatsCluster
from tests.nats.fixtures import own_nats_cluster
from tests.remote.conftest import Ports

__all__ = ["own_nats_cluster"]

#: Entities; and seconds in which two of three nodes stand still: servers give up after 15.
_ENTITIES = 60
_STANDSTILL = 18.0


@pytest.mark.torture
async def test_what_is_stored_after_it_was_given_up_is_not_stored_again(
    own_nats_cluster: NatsCluster, command: Callable[..., ServerProcess]
) -> None:
    server = command("--engine", own_nats_cluster.url)
    url = Ports(server.http_port, server.stomp_port).url
    async with RemoteEventStore(url, retry_for=120.0, answer_timeout=60.0) as store:
        appended: dict[int, Appended] = {}

        async def write(number: int) -> None:
            """Append one event after another to an entity of its own."""
            entity = await store.create("default", "T", [NewEvent("E", "0")])
            appended[number] = entity
            for turn in range(1, 1_000_000):
                entity = await store.append(
                    "default",
                    "T",
                    entity.entity_id,
                    entity.entity_version,
                    [NewEvent("E", str(turn))],
                )
                appended[number] = entity

        writing = [asyncio.create_task(write(number)) for number in range(_ENTITIES)]
        while len(appended) < _ENTITIES:
            await asyncio.sleep(0.05)
            assert not any(each.done() for each in writing)
        for node in own_nats_cluster.nodes[:2]:
            node.pause()
        await asyncio.sleep(_STANDSTILL)
        before = dict(appended)
        for node in own_nats_cluster.nodes[:2]:
            node.resume()
        async with asyncio.timeout(120):
            while any(appended[number] == before[number] for number in before):
                assert not any(each.done() for each in writing), [
                    each.exception() for each in writing if each.done()
                ]
                await asyncio.sleep(0.05)
        for each in writing:
            each.cancel()
        await asyncio.wait(writing)
        for entity in appended.values():
            events = await store.history("default", "T", entity.entity_id)
            assert [each.event_data for each in events] == [*map(str, range(len(events)))]
