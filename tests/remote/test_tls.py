"""https: both ports over TLS, to a server whose certificate must be trusted."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from eventuary.errors import ConfigurationError
from eventuary.events import NewEvent
from eventuary.remote import RemoteEventStore
from tests.acceptance.server_process import ServerProcess
from tests.event_store.recorder import Recorder

SELECTION = {"T": ["E"]}


class Secured(NamedTuple):
    """A server with a certificate, and its authority."""

    server: ServerProcess
    trusting: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.http_port}?stomp_port={self.server.stomp_port}"


@pytest.fixture
def secured(command: Callable[..., ServerProcess], tmp_path: Path) -> Secured:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(chain), append=True)
    server = command("--tls-cert", str(chain), "--tls-key", str(key))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return Secured(server, trusting)


async def test_everything_over_tls(secured: Secured) -> None:
    async with RemoteEventStore(secured.url, tls=secured.trusting) as store:
        recorder = Recorder()
        recorder.consumer = await store.subscribe("default", "view", SELECTION, recorder)
        large = [NewEvent("E", "x" * 100_000) for _ in range(5)]
        created = await asyncio.gather(*(store.create("default", "T", large) for _ in range(10)))
        await recorder.until_events(50)
        recorder.consumer.pause()
        await store.create("default", "T", large)
        recorder.consumer.resume()
        await recorder.until_events(55)
        await recorder.consumer.flush()
        await asyncio.to_thread(secured.server.restart)
        await store.create("default", "T", [NewEvent("E", "last")])
        await recorder.until(lambda: recorder.data[-1] == "last")
        assert len((await store.load("default", "T", created[0].entity_id)).events) == 5


async def test_a_certificate_that_is_not_trusted_is_told_at_once(secured: Secured) -> None:
    async with RemoteEventStore(secured.url) as store, asyncio.timeout(20):
        with pytest.raises(ConfigurationError, match=r"is not trusted: .*local issuer"):
            await store.create("default", "T", [NewEvent("E", "")])
        with pytest.raises(ConfigurationError, match=r"is not trusted: .*local issuer"):
            await store.subscribe("default", "view", SELECTION, Recorder())


async def test_a_name_that_is_not_the_certificates(secured: Secured) -> None:
    url = secured.url.replace("127.0.0.1", "localhost")
    async with RemoteEventStore(url, tls=secured.trusting) as store:
        with pytest.raises(ConfigurationError, match=r"is not trusted: .*localhost"):
            await store.load("default", "T", "one")


async def test_a_server_without_tls_is_told_at_once(command: Callable[..., ServerProcess]) -> None:
    server = command()
    url = f"https://127.0.0.1:{server.http_port}?stomp_port={server.stomp_port}"
    async with RemoteEventStore(url) as store, asyncio.timeout(20):
        with pytest.raises(ConfigurationError, match="does not speak TLS"):
            await store.create("default", "T", [NewEvent("E", "")])
        with pytest.raises(ConfigurationError, match="does not speak TLS"):
            await store.subscribe("default", "view", SELECTION, Recorder())
