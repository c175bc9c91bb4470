"""``kill -9`` of the server under clients at work: they go on, nothing is lost or done twice."""

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import Callable

from eventuary.events import Appended, NewEvent
from eventuary.remote import RemoteEventStore
from eventuary.tokens import event_token
from tests.acceptance.server_process import ServerProcess
from tests.remote.conftest import Ports
from tests.remote.order_keeper import OrderKeeper

TYPE = "accounts.Account"
SELECTION = {TYPE: ["Opened", "Changed"]}
_WRITERS = 8
_KILLS = 3


class Writer:
    """Opens accounts and appends to them, as fast as it is answered; each event is its own."""

    def __init__(self, store: RemoteEventStore, number: int, seed: int) -> None:
        self.stored: dict[str, list[str]] = {}
        self.data: dict[str, list[str]] = {}
        self.calls = 0
        self.stopping = False
        self._store = store
        self._number = number
        self._chance = random.Random(f"{seed}/{number}")

    async def run(self) -> None:
        for number in itertools.count():
            if self.stopping:
                return
            data = f"{self._number}-{number}"
            outcome = await self._write(data)
            self.calls += 1
            self.stored.setdefault(outcome.entity_id, []).extend(outcome.event_ids)
            self.data.setdefault(outcome.entity_id, []).append(data)

    async def _write(self, data: str) -> Appended:
        token = None
        if self._chance.random() < 0.5:
            token = event_token(data, "0000000000000001-0000000000000001")
        if not self.stored or self._chance.random() < 0.3:
            chosen = f"by-{data}" if self._chance.random() < 0.5 else None
            return await self._store.create(
                "default",
                TYPE,
                [NewEvent("Opened", data)],
                entity_id=chosen,
                triggering_event_token=token,
            )
        entity_id = self._chance.choice(list(self.stored))
        return await self._store.append(
            "default",
            TYPE,
            entity_id,
            self.stored[entity_id][-1],
            [NewEvent("Changed", data)],
            triggering_event_token=token,
        )


async def test_writers_and_a_subscriber_go_on(command: Callable[..., ServerProcess]) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    server = command()
    url = Ports(server.http_port, server.stomp_port).url
    async with RemoteEventStore(url) as store:
        keeper = OrderKeeper()
        keeper.consumer = await store.subscribe("default", "view", SELECTION, keeper)
        writers = [Writer(store, number, seed) for number in range(_WRITERS)]
        tasks = [asyncio.ensure_future(writer.run()) for writer in writers]
        for kill in range(1, _KILLS + 1):
            before = len(keeper.handled)
            await keeper.until(lambda: len(keeper.handled) > before + 100)  # noqa: B023
            assert not any(task.done() for task in tasks)
            await asyncio.to_thread(server.restart)
            await keeper.until(lambda: keeper.interruptions == kill)  # noqa: B023
        for writer in writers:
            writer.stopping = True
        await asyncio.gather(*tasks)
        await keeper.until(
            lambda: len({d.offset for d in keeper.handled}) >= sum(w.calls for w in writers)
        )
        await keeper.consumer.caught_up()

        stored = {each: ids for writer in writers for each, ids in writer.stored.items()}
        data = {each: texts for writer in writers for each, texts in writer.data.items()}
        for entity_id, ids in stored.items():
            history = await store.history("default", TYPE, entity_id)
            assert [event.id for event in history] == ids, f"seed {seed}"
            assert [event.event_data for event in history] == data[entity_id], f"seed {seed}"
    handled: dict[str, list[str]] = defaultdict(list)
    for delivery in keeper.handled:
        if delivery.event.event_id not in handled[delivery.event.entity_id]:  # at least once
            handled[delivery.event.entity_id].append(delivery.event.event_id)
    assert handled == stored, f"all, of each in order, and no others; seed {seed}"
    assert keeper.closed_because == "the event store is closing"
