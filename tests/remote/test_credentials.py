"""Keys that are wrong, or may not do this: told at once, and as what they are."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from eventuary.errors import Forbidden, ServiceUnavailable, Unauthorized
from eventuary.events import NewEvent
from eventuary.remote import RemoteEventStore
from tests.acceptance.server_process import ServerProcess
from tests.event_store.recorder import Recorder

SELECTION = {"T": ["E"]}
EVENTS = [NewEvent("E", "")]

#: Characters that URLs, HTTP's Basic scheme or STOMP's headers could stumble over.
SECRET = "s:e c/r?e@t%\\né#"


class Keys:
    """A server that has keys, and stores that use them."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.operator = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.http_port}", auth=("admin", SECRET), timeout=30
        )

    def store(self, key_id: str, secret: str) -> RemoteEventStore:
        quoted = "".join(f"%{byte:02x}" for byte in secret.encode())
        return RemoteEventStore(
            f"http://{key_id}:{quoted}@127.0.0.1:{self.server.http_port}"
            f"?stomp_port={self.server.stomp_port}"
        )

    async def add(self, key_id: str, spaces: list[str], *, read_only: bool) -> str:
        answer = await self.operator.post(
            "/v1/keys", json={"keyId": key_id, "spaces": spaces, "readOnly": read_only}
        )
        secret: str = answer.raise_for_status().json()["secret"]
        return secret


@pytest.fixture
def keys(command: Callable[..., ServerProcess]) -> Keys:
    return Keys(command("--api-key", f"admin:{SECRET}"))


async def test_a_key_that_is_right(keys: Keys) -> None:
    async with keys.store("admin", SECRET) as store:
        await store.create("default", "T", EVENTS)
        recorder = Recorder()
        recorder.consumer = await store.subscribe("default", "view", SELECTION, recorder)
        await recorder.until_events(1)


@pytest.mark.parametrize("secret", ["", "wrong"])
async def test_a_key_that_is_wrong(keys: Keys, secret: str) -> None:
    async with keys.store("admin", secret) as store, asyncio.timeout(20):  # it isn't tried for long
        with pytest.raises(Unauthorized):
            await store.create("default", "T", EVENTS)
        with pytest.raises(Unauthorized):
            await store.load("default", "T", "one")
        with pytest.raises(Unauthorized, match="there is no key"):
            await store.subscribe("default", "view", SELECTION, Recorder())


async def test_no_key_at_all(keys: Keys) -> None:
    url = f"http://127.0.0.1:{keys.server.http_port}?stomp_port={keys.server.stomp_port}"
    async with RemoteEventStore(url) as store:
        with pytest.raises(Unauthorized, match="credentials are missing"):
            await store.create("default", "T", EVENTS)
        with pytest.raises(Unauthorized):
            await store.subscribe("default", "view", SELECTION, Recorder())


async def test_a_key_that_may_not(keys: Keys) -> None:
    secret = await keys.add("reader", ["other"], read_only=True)
    async with keys.store("reader", secret) as store, asyncio.timeout(20):
        with pytest.raises(Forbidden, match="read-only"):
            await store.create("other", "T", EVENTS)
        with pytest.raises(Forbidden, match="no access to space 'default'"):
            await store.subscribe("default", "view", SELECTION, Recorder())
        recorder = Recorder()
        recorder.consumer = await store.subscribe("other", "view", SELECTION, recorder)


async def test_a_key_that_is_revoked_ends_its_subscriptions(keys: Keys) -> None:
    secret = await keys.add("passing", [], read_only=False)
    async with keys.store("passing", secret) as store:
        recorder = Recorder()
        recorder.consumer = await store.subscribe("default", "view", SELECTION, recorder)
        (await keys.operator.delete("/v1/keys/passing")).raise_for_status()
        await recorder.until(lambda: recorder.closed_because is not None)
        assert recorder.closed_because == "there is no key of this id and secret"
        with pytest.raises(ServiceUnavailable, match="has ended: there is no key"):
            await recorder.consumer.caught_up()
        await recorder.consumer.close()
