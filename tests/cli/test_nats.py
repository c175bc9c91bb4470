"""The commands over a NATS cluster: what it must promise, and servers that share it."""

import signal
from pathlib import Path

import httpx
import pytest

from tests.cli.running import run, serving
from tests.nats.cluster import NatsCluster

CREATION = {
    "entityTypeName": "orders.Order",
    "events": [{"eventType": "OrderCreated", "eventData": "{}"}],
}


def test_a_safe_cluster_is_served_without_a_word(nats_url: str, tmp_path: Path) -> None:
    with serving("--engine", nats_url, cwd=tmp_path) as server:
        assert "?system=system:***" in server.line
        assert "secret" not in server.line
        assert (
            httpx.post(f"{server.url}/entity/default", json=CREATION, timeout=30).status_code == 200
        )
        assert server.becomes_ready()
        assert server.end(signal.SIGTERM) == 0
        assert server.output() == ("", "")


@pytest.mark.parametrize(
    ("parameters", "danger"),
    [
        (["system=system:secret", "replicas=1"], "has num_replicas = 1, fewer than 3"),
        (["replicas=3"], "it is not known whether the nodes sync each write"),
    ],
)
def test_what_could_be_lost_is_refused_unless_it_is_accepted(
    nats_cluster: NatsCluster, tmp_path: Path, parameters: list[str], danger: str
) -> None:
    url = nats_cluster.url_of(f"lax-{len(parameters)}", *parameters)
    refused = run("serve", "--engine", url, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert danger in refused.stderr
    assert "--accept-data-loss" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    with serving("--engine", url, "--accept-data-loss", cwd=tmp_path) as server:
        assert (
            httpx.post(f"{server.url}/entity/default", json=CREATION, timeout=30).status_code == 200
        )
        assert server.end(signal.SIGTERM) == 0
        [line] = server.output()[1].splitlines()
        assert "events could be lost" in line
        assert danger in line


def test_a_node_that_syncs_now_and_then_is_refused(tmp_path: Path) -> None:
    lax = NatsCluster(size=1, sync_interval='"2m"')
    try:
        lax.start()
        refused = run("serve", "--engine", lax.url + "&replicas=1", cwd=tmp_path)
        assert refused.returncode == 2
        assert "node-0: sync_interval is not always" in refused.stderr
    finally:
        lax.remove()


def test_keys_and_servers_over_one_cluster(nats_url: str, tmp_path: Path) -> None:
    missing = run("keys", "list", "--engine", nats_url, cwd=tmp_path)
    assert missing.returncode == 2
    assert "there is no database" in missing.stderr
    added = run("keys", "add", "ops", "--engine", nats_url, cwd=tmp_path)
    assert added.returncode == 0
    name, secret = added.stdout.strip().split(":", 1)
    arguments = ("--engine", nats_url, "--host", "0.0.0.0")
    with serving(*arguments, cwd=tmp_path) as one, serving(*arguments, cwd=tmp_path) as two:
        urls = [f"http://127.0.0.1:{server.http_port}" for server in (one, two)]
        created = httpx.post(
            f"{urls[0]}/entity/default", json=CREATION, auth=(name, secret), timeout=30
        )
        assert created.status_code == 200
        target = f"{urls[1]}/entity/default/orders.Order/{created.json()['entityId']}"
        assert httpx.get(target, timeout=30).status_code == 401
        assert len(httpx.get(target, auth=(name, secret), timeout=30).json()["events"]) == 1
