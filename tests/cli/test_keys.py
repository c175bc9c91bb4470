"""``eventuary keys`` beside a running server, and without one."""

import re
import time
from pathlib import Path

import httpx

from tests.cli.running import RunningServer, run, serving

CREATION = {
    "entityTypeName": "orders.Order",
    "events": [{"eventType": "OrderCreated", "eventData": "{}"}],
}


def add(*arguments: str, cwd: Path) -> tuple[str, str]:
    """Add a key; returns what is to be shown."""
    result = run("keys", "add", *arguments, cwd=cwd)
    assert result.returncode == 0, result
    [line] = result.stdout.splitlines()
    key_id, _, secret = line.partition(":")
    assert len(secret) >= 43
    return key_id, secret


def status(
    server: RunningServer, key: tuple[str, str] | None, space: str = "default", method: str = "POST"
) -> int:
    target = f"{server.url}/entity/{space}" + ("" if method == "POST" else "/orders.Order/x")
    json = CREATION if method == "POST" else None
    return httpx.request(method, target, json=json, auth=key, timeout=10).status_code


def becomes(expected: int, server: RunningServer, key: tuple[str, str] | None) -> None:
    """Ask until the answer is this."""
    begun = time.monotonic()
    while (found := status(server, key)) != expected:
        assert time.monotonic() - begun < 30, f"still {found}"


def test_keys_on_a_running_server(tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as server:
        assert status(server, None) == 200  # open access
        writer = add("writer", cwd=tmp_path)
        becomes(401, server, None)
        assert status(server, writer) == 200
        assert status(server, (writer[0], "wrong")) == 401

        reader = add("reader", "--space", "default", "--space", "b", "--read-only", cwd=tmp_path)
        becomes(403, server, reader)
        assert status(server, reader, method="GET") == 200
        assert status(server, reader, "b", "GET") == 200
        assert status(server, reader, "c", "GET") == 403

        result = run("keys", "revoke", "writer", cwd=tmp_path)
        assert (result.returncode, result.stdout) == (0, "Revoked writer.\n")
        becomes(401, server, writer)
        assert status(server, reader, method="GET") == 200

        assert run("keys", "revoke", "reader", cwd=tmp_path).returncode == 0
        becomes(401, server, reader)
        assert status(server, None) == 401  # revoking the last key does not open the server


def test_a_server_that_starts_with_stored_keys(tmp_path: Path) -> None:
    """The first key can be stored before there ever was a server."""
    key = add("first", cwd=tmp_path)
    with serving("--host", "0.0.0.0", cwd=tmp_path) as server:
        server.url = f"http://127.0.0.1:{server.http_port}"
        assert status(server, None) == 401
        assert status(server, key) == 200


def test_the_list(tmp_path: Path) -> None:
    engine = ("--engine", "sqlite:other.db")
    key_id, secret = add("one", *engine, cwd=tmp_path)
    add("two", "--space", "a", "--space", "b", "--space", "a", "--read-only", *engine, cwd=tmp_path)
    text = run("keys", "list", *engine, cwd=tmp_path).stdout
    rows = [line for line in text.splitlines() if " one " in line or " two " in line]
    assert [" all " in rows[0], " read, write " in rows[0]] == [True, True]
    assert [" a, b " in rows[1], " read " in rows[1]] == [True, True]
    assert secret not in text
    assert run("keys", "revoke", key_id, *engine, cwd=tmp_path).returncode == 0
    assert " one " not in run("keys", "list", *engine, cwd=tmp_path).stdout
    assert run("keys", "revoke", "two", *engine, cwd=tmp_path).returncode == 0
    assert "no stored keys" in run("keys", "list", *engine, cwd=tmp_path).stdout


def test_looking_for_keys_makes_no_database(tmp_path: Path) -> None:
    for arguments in (("list",), ("revoke", "a"), ("list", "--engine", "sqlite:no/such/x.db")):
        result = run("keys", *arguments, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        [line] = result.stderr.splitlines()
        assert re.fullmatch(r"eventuary: engine: sqlite:\S+: there is no database; .*", line), line
    assert list(tmp_path.iterdir()) == []


def test_the_engine_may_stand_in_the_servers_file(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text(
        'engine = "sqlite:of the file.db"\nhttp_port = 0\n[limits]\nbody_size = 1000\n'
    )
    config = ("--config", "server.toml")
    key_id, _ = add("one", *config, cwd=tmp_path)
    assert (tmp_path / "of the file.db").exists()
    for result in (
        run("keys", "list", *config, cwd=tmp_path),
        run("keys", "list", cwd=tmp_path, env={"EVENTUARY_CONFIG": "server.toml"}),
    ):
        assert f" {key_id} " in result.stdout, result
    # What is said more plainly counts first.
    for more, env in ((("--engine", "sqlite:x.db"), {}), ((), {"EVENTUARY_ENGINE": "sqlite:x.db"})):
        result = run("keys", "list", *config, *more, cwd=tmp_path, env=env)
        assert "engine: sqlite:x.db: there is no database" in result.stderr
    result = run("keys", "revoke", key_id, *config, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "Revoked one.\n")


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("engin = 1")
    for file, said in (("none.toml", "can't be read"), ("wrong.toml", "did you mean engine?")):
        result = run("keys", "list", "--config", file, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        [line] = result.stderr.splitlines()
        assert line.startswith(f"eventuary: config: {file}: "), line
        assert said in line


def test_what_can_not_be_done(tmp_path: Path) -> None:
    add("taken", cwd=tmp_path)
    for arguments, code, said in (
        (("add", "taken"), 1, "key 'taken' exists already"),
        (("revoke", "nobody"), 1, "there is no key 'nobody'"),
        (("add", "a:b"), 2, "without ':'"),
        (("add", "x", "--space", "a/b"), 2, "space: "),
        (("list", "--engine", "mysql:x"), 2, "unknown scheme"),
        (("add", "x", "--engine", "sqlite:no/such/x.db"), 2, "can't be opened"),
    ):
        result = run("keys", *arguments, cwd=tmp_path)
        assert result.returncode == code, (arguments, result)
        assert result.stdout == ""
        [line] = result.stderr.splitlines()
        assert line.startswith("eventuary: ")
        assert said in line


def test_a_secret_is_not_in_the_database(tmp_path: Path) -> None:
    _, secret = add("one", cwd=tmp_path)
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes(), file
