"""``eventuary keys`` beside a running server: what is added opens, what is revoked closes."""

from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.rest_client import Event, Refused, Rest
from tests.acceptance.server_process import ServerProcess, run_command
from tests.acceptance.stomp_client import ConnectionEnded, StompClient
from tests.acceptance.waiting import wait_until


def _keys(server: ServerProcess, *arguments: str) -> str:
    outcome = run_command("keys", *arguments, "--engine", f"sqlite:{server.database}")
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def _add(server: ServerProcess, *arguments: str) -> tuple[str, str]:
    key_id, colon, secret = _keys(server, "add", *arguments).strip().partition(":")
    assert colon
    assert len(secret) >= 32
    return key_id, secret


def _status(server: ServerProcess, key: tuple[str, str]) -> int:
    with Rest(server.url, key=key) as rest:
        return rest.http.get("/entity/default/Order/1").status_code


def test_added_listed_and_revoked_while_the_server_runs(start: Start) -> None:
    server = start("--api-key", "root:root")
    key = _add(server, "alice")
    wait_until(lambda: _status(server, key) == 200, "the new key opens")
    assert "alice" in _keys(server, "list")
    assert key[1] not in _keys(server, "list")
    assert key[1].encode() not in server.database.read_bytes(), "only a hash is kept"

    with StompClient(server.stomp_port, login=key[0], passcode=key[1]) as client:
        client.subscribe("s", {"Order": ["Ordered"]})
        _keys(server, "revoke", "alice")
        wait_until(lambda: _status(server, key) == 401, "the revoked key closes")
        # What was opened with it ends too.
        assert client.receive().command == "ERROR"
        with pytest.raises(ConnectionEnded):
            client.receive()
    assert "alice" not in _keys(server, "list")
    assert _status(server, ("root", "root")) == 200


def test_the_first_key_ends_open_access_for_good(start: Start) -> None:
    server = start()
    assert _status(server, ("any", "body")) == 200
    key = _add(server, "alice")
    wait_until(lambda: _status(server, ("any", "body")) == 401, "open access ends")
    assert _status(server, key) == 200
    _keys(server, "revoke", "alice")
    wait_until(lambda: _status(server, key) == 401, "the revoked key closes")
    assert _status(server, ("any", "body")) == 401


def test_a_key_survives_a_restart(start: Start) -> None:
    server = start("--api-key", "root:root")
    key = _add(server, "alice", "--space", "default", "--read-only")
    server.restart()
    assert _status(server, key) == 200
    with Rest(server.url, key=key) as rest, pytest.raises(Refused) as refused:
        rest.create("Order", [Event("Ordered")])
    assert refused.value.status == 403


def test_keys_may_be_stored_before_the_first_start(start: Start, tmp_path: Path) -> None:
    database = tmp_path / "e.db"
    added = run_command("keys", "add", "alice", "--engine", f"sqlite:{database}")
    assert added.returncode == 0, added.stderr
    server = start("--host", "0.0.0.0", database=database)
    key_id, _, secret = added.stdout.strip().partition(":")
    url = f"http://127.0.0.1:{server.http_port}/entity/default/Order/1"
    assert httpx.get(url, auth=(key_id, secret), trust_env=False, timeout=30).status_code == 200
    assert httpx.get(url, trust_env=False, timeout=30).status_code == 401


def test_keys_says_what_is_wrong(start: Start) -> None:
    server = start("--api-key", "root:root")
    _add(server, "alice")
    engine = ("--engine", f"sqlite:{server.database}")
    for arguments in (("add", "alice"), ("revoke", "nobody"), ("add", "a:b")):
        outcome = run_command("keys", *arguments, *engine)
        assert outcome.returncode in {1, 2}
        assert outcome.stdout == ""
        assert len(outcome.stderr.splitlines()) == 1, outcome.stderr
