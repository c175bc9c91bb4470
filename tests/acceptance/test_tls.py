"""TLS on both ports, with a certificate of an authority of the test's own."""

import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from tests.acceptance.conftest import Start
from tests.acceptance.rest_client import Event, Rest
from tests.acceptance.stomp_client import StompClient


def test_rest_and_stomp_over_tls(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    trusted, chain, key = tmp_path / "ca.pem", tmp_path / "chain.pem", tmp_path / "key.pem"
    authority.cert_pem.write_to_path(str(trusted))
    issued.private_key_pem.write_to_path(str(key))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(chain), append=True)
    server = start("--tls-cert", str(chain), "--tls-key", str(key), "--api-key", "id:secret")

    assert "https://" in server.ready_line
    assert "stomps://" in server.ready_line
    context = ssl.create_default_context(cafile=trusted)
    with (
        Rest(server.url, certificates=str(trusted)) as rest,
        StompClient(server.stomp_port, tls=context) as client,
    ):
        client.subscribe("s", {"Order": ["Ordered"]})
        created = rest.create("Order", [Event("Ordered", "x" * 100_000)] * 5)
        assert [event.id for event in client.take(5)] == created.event_ids
        assert server.terminate() == 0
        assert client.receive().command == "ERROR"

    server.start()
    with Rest(f"http://127.0.0.1:{server.http_port}") as plain, pytest.raises(httpx.TransportError):
        plain.find("Order", "1")
    with Rest(server.url) as distrustful, pytest.raises(httpx.ConnectError):
        distrustful.find("Order", "1")
    with Rest(server.url, certificates=str(trusted)) as rest:
        assert len(rest.find("Order", created.entity_id)) == 5
