"""What becomes of calls when something breaks between the call and its record: the one window."""

from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from eventuary import (
    Circuit,
    DeliveryPolicy,
    EntityExists,
    EventStore,
    OnDeadLetter,
    OutsideSystem,
    Repository,
    Retries,
    connect,
    running,
)
from eventuary.remote import RemoteEventStore
from eventuary.server.app import Server
from eventuary.server.auth import ApiKey
from eventuary.server.settings import Settings
from eventuary.testing import eventually, every_crash
from eventuary.tokens import event_token
from tests.framework.post_office import Clerk, Letter, LetterWritten, PostOffice, write
from tests.ports import free_ports

NEVER = Circuit(failures=1000)


async def write_one(store: EventStore) -> None:
    """What the world outside does: it repeats what it had no answer to."""
    with suppress(EntityExists):
        await Repository(store, Letter).save(LetterWritten("hello"), entity_id="a")


@pytest.mark.parametrize("redeliver", [False, True])
async def test_a_crash_sends_a_second_time_only_between_the_call_and_its_record(
    *, redeliver: bool
) -> None:
    async with PostOffice() as office:
        clerk = Clerk(office, OutsideSystem("post", circuit=NEVER))
        crashes, twice = [], []
        async for attempt in every_crash(write_one, clerk.subscriber, redeliver=redeliver):
            office.taken.clear()
            async with attempt as store:
                [written] = (await store.load("default", "Letter", "a")).events
            assert set(office.taken) == {event_token("clerk", written.id)}, "always under one key"
            crashes += attempt.crashes
            if len(office.taken) > 1:
                assert len(office.taken) == 2
                twice += attempt.crashes
    assert len(crashes) == 6  # around the letter, the record, and the acknowledgement
    [in_the_window] = twice
    assert in_the_window.startswith("before the creation of eventuary.OutsideCall")


async def test_a_call_whose_record_can_t_be_stored_is_not_made_again_by_the_same_process(
    tmp_path: Path,
) -> None:
    """The key under which the clerk works may not write."""
    settings = Settings(
        http_port=0,
        stomp_port=0,
        engine=f"sqlite:{tmp_path / 'e.db'}",
        api_keys=(ApiKey("all", "s3cret"),),
    )
    server = Server(settings)
    await server.start()
    here = f"127.0.0.1:{server.http_port}"
    async with httpx.AsyncClient(
        base_url=f"http://{here}", auth=("all", "s3cret"), timeout=30
    ) as operator:
        wanted = {"keyId": "clerk", "spaces": ["default"], "readOnly": True}
        key = (await operator.post("/v1/keys", json=wanted)).raise_for_status().json()
    stomp = f"?stomp_port={server.stomp_port}"
    policy = DeliveryPolicy(max_attempts=3, first_pause=0.001, on_dead_letter=OnDeadLetter.CONTINUE)
    async with PostOffice() as office:
        clerk = Clerk(office, OutsideSystem("post", circuit=NEVER), policy=policy)
        async with (
            connect(f"http://all:s3cret@{here}{stomp}") as store,
            connect(f"http://clerk:{key['secret']}@{here}{stomp}") as reading,
        ):
            await write(store, "hello")
            async with running(reading, clerk.subscriber) as run:
                await run.caught_up()
            assert len(office.taken) == 1
            letters = server.store.subscriptions.dead_letters
            await eventually(lambda: server.store.statistics.dead_letters == 1, within=60)
            [letter] = await letters("default", "clerk")
            assert letter.attempts == 3
            assert letter.reason.startswith("Forbidden: key 'clerk'")
    await server.stop()


async def test_a_paused_subscriber_comes_back_when_its_server_does(tmp_path: Path) -> None:
    async with PostOffice() as office:
        await office.close()
        post = OutsideSystem(
            "post",
            retries=Retries(2, 0.001, 0.001),
            circuit=Circuit(failures=2, first_pause=0.3, longest_pause=0.3),
        )
        clerk = Clerk(office, post)
        http_port, stomp_port = free_ports(2)  # nobody else gets them while it is away
        settings = Settings(
            http_port=http_port, stomp_port=stomp_port, engine=f"sqlite:{tmp_path / 'e.db'}"
        )
        server = Server(settings)
        await server.start()
        url = f"http://127.0.0.1:{server.http_port}?stomp_port={server.stomp_port}"
        async with (
            RemoteEventStore(url, retry_for=0.5) as store,
            running(store, clerk.subscriber) as run,
        ):
            one = run[clerk.subscriber]
            await write(store, "hello")
            await eventually(lambda: one.waits_for == "post", within=60)
            await eventually(lambda: server.store.consumers == 0, within=60)
            await server.stop()
            await office.open()
            await eventually(lambda: "it can't come back: " in (one.trouble or ""), within=60)
            server = Server(settings)
            await server.start()
            await eventually(lambda: clerk.texts() == ["hello"], within=60)
            assert (one.trouble, one.waits_for) == (None, None)
            await run.caught_up()
        await server.stop()
