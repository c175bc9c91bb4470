"""What keeps the command from starting is one clear line, and exit code 2."""

import socket
import sqlite3
from pathlib import Path

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.rest_client import Rest
from tests.acceptance.server_process import COMMAND, run_command

_FREE = ("--http-port", "0", "--stomp-port", "0")


def _refused(*arguments: str) -> str:
    """Run ``eventuary serve``, which must end at once; return its one line."""
    outcome = run_command("serve", *arguments)
    assert outcome.returncode == 2, (outcome.stdout, outcome.stderr)
    assert outcome.stdout == ""
    line = outcome.stderr.removesuffix("\n")
    assert line, "it says nothing"
    assert "\n" not in line, "it says more than one line"
    return line


def test_the_ready_line_is_one_line_and_true(start: Start) -> None:
    server = start()
    assert server.ready_line.startswith("Eventuary ")
    assert f"http://127.0.0.1:{server.http_port} " in server.ready_line
    assert f"stomp://127.0.0.1:{server.stomp_port} " in server.ready_line
    assert f"engine sqlite:{server.database}" in server.ready_line
    assert "any credentials" in server.ready_line
    for port in (server.http_port, server.stomp_port):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    assert server.terminate() == 0


def test_a_second_server_on_the_same_database(start: Start) -> None:
    server = start()
    line = _refused(*_FREE, "--engine", f"sqlite:{server.database}")
    assert str(server.database) in line
    assert "another server" in line
    with Rest(server.url) as rest:
        assert rest.find("Order", "1") == [], "the first goes on"


def test_a_database_of_a_killed_server_is_free(start: Start) -> None:
    server = start()
    server.kill()
    assert start(database=server.database).http_port


@pytest.mark.parametrize("option", ["--http-port", "--stomp-port"])
def test_a_port_in_use(tmp_path: Path, option: str) -> None:
    other = {"--http-port": "--stomp-port", "--stomp-port": "--http-port"}[option]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = _refused(option, port, other, "0", "--engine", f"sqlite:{tmp_path}/e.db")
    assert port in line
    assert option.strip("-").replace("-", "_") in line


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("oracle:xe", "oracle"),
        ("sqlite:/nowhere/at/all/e.db", "/nowhere/at/all"),
        ("", "engine"),
    ],
)
def test_an_engine_that_can_not_be(engine: str, said: str) -> None:
    assert said in _refused(*_FREE, "--engine", engine)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    path.write_text("this is a diary, not a database" * 100)
    assert str(path) in _refused(*_FREE, "--engine", f"sqlite:{path}")
    assert path.read_text().startswith("this is a diary")


def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    assert str(path) in _refused(*_FREE, "--engine", f"sqlite:{path}")
    with sqlite3.connect(path) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
    connection.close()
    assert names == ["recipes"], "nothing was added to it"


def test_settings_that_can_not_be(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert str(missing) in _refused("--config", str(missing))
    broken = tmp_path / "broken.toml"
    broken.write_text("http_port = \n")
    assert str(broken) in _refused("--config", str(broken))
    unknown = tmp_path / "unknown.toml"
    unknown.write_text("htpp_port = 1\n")
    assert "http_port" in _refused("--config", str(unknown))
    assert "tls_key" in _refused(*_FREE, "--tls-cert", str(missing))
    assert str(missing) in _refused(*_FREE, "--tls-cert", str(missing), "--tls-key", str(missing))
    assert "body_size" in _refused(*_FREE, "--limit", "body_sice=1")


def test_other_addresses_need_keys(tmp_path: Path) -> None:
    line = _refused(*_FREE, "--host", "0.0.0.0", "--engine", f"sqlite:{tmp_path}/e.db")
    assert "--api-key" in line


def test_settings_from_a_file_and_from_variables(start: Start, tmp_path: Path) -> None:
    config = tmp_path / "eventuary.toml"
    config.write_text('api_keys = ["from-file:1"]\n[limits]\nevents_per_append = 3\n')
    server = start(environment={"EVENTUARY_CONFIG": str(config), "EVENTUARY_LOG_LEVEL": "warning"})
    events = [{"eventType": "E", "eventData": "{}"}]
    with Rest(server.url, key=("from-file", "1")) as rest:
        for count, status in ((3, 200), (4, 400)):
            body = {"entityTypeName": "T", "events": events * count}
            assert rest.http.post("/entity/default", json=body).status_code == status
    assert "any credentials" not in server.ready_line


def test_the_command_is_installed() -> None:
    assert COMMAND.exists()
    version = run_command("--version")
    assert (version.returncode, version.stdout.split()[0]) == (0, "eventuary")
    assert "serve" in run_command("--help").stdout
