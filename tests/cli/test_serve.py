"""``eventuary serve``: its one line, its settings, what keeps it from starting, its end."""

import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from eventuary.version import __version__
from tests.cli.running import RunningServer, environment, run, serving

CREATION = {
    "entityTypeName": "orders.Order",
    "events": [{"eventType": "OrderCreated", "eventData": "{}"}],
}


def created(url: str, auth: tuple[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{url}/entity/default", json=CREATION, auth=auth, timeout=10)


def until_draining(server: RunningServer) -> None:
    """Wait until the port accepts no more."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.http_port), timeout=10).close()
        except ConnectionError:  # refused; reset, if it was waiting to be accepted
            return
        time.sleep(0.01)  # it may stand still: those that wait to be accepted are few then


def refusal(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """The server does not start: exit code 2, and one line that says why; returns it."""
    result = run("serve", *arguments, cwd=cwd, env=env)
    assert result.returncode == 2, result
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("eventuary: ")
    return line


def test_it_says_in_one_line_that_both_ports_accept(tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as server:
        assert server.line.startswith(
            f"Eventuary {__version__} ready: http://127.0.0.1:{server.http_port} "
            f"stomp://127.0.0.1:{server.stomp_port} engine sqlite:eventuary.db"
        )
        assert "open access" in server.line
        for port in (server.http_port, server.stomp_port):
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
        assert created(server.url).status_code == 200
        assert created(server.url, ("any", "body")).status_code == 200
        assert server.end(signal.SIGTERM) == 0
        assert server.output()[0] == ""
    assert (tmp_path / "eventuary.db").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_0_and_keeps_what_it_has_answered(tmp_path: Path, number: int) -> None:
    with serving(cwd=tmp_path) as server:
        entity = created(server.url).json()["entityId"]
        assert server.end(number) == 0
        assert "Traceback" not in server.output()[1]
    with serving(cwd=tmp_path) as server:
        found = httpx.get(f"{server.url}/entity/default/orders.Order/{entity}", timeout=30).json()
        assert len(found["events"]) == 1


def test_requests_under_way_are_answered_before_it_ends(tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as server:
        body = b'{"entityTypeName": "a", "events": [{"eventType": "b", "eventData": "c"}]}'
        with socket.create_connection(("127.0.0.1", server.http_port), timeout=10) as connection:
            connection.sendall(
                b"POST /entity/default HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
                + body[:10]
            )
            # Another request's answer says that the bytes above have arrived too.
            assert created(server.url).status_code == 200
            server.process.send_signal(signal.SIGTERM)
            until_draining(server)
            connection.sendall(body[10:])
            answer = b""
            while part := connection.recv(65_536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"connection: close" in answer
        assert server.process.wait(10) == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with (
        serving(cwd=tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.http_port), timeout=10) as connection,
    ):
        connection.sendall(b"POST /entity/default HTTP/1.1\r\ncontent-length: 10\r\n\r\n")
        assert created(server.url).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        until_draining(server)  # the request above has it wait
        assert server.end(signal.SIGTERM) == 1  # and not 0, as when they are waited for


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refusal("--http-port", port, "--stomp-port", "0", cwd=tmp_path)
        assert f"http_port: can't listen on 127.0.0.1 port {port}: the port is in use" in line
        line = refusal("--http-port", "0", "--stomp-port", port, cwd=tmp_path)
        assert f"stomp_port: can't listen on 127.0.0.1 port {port}: the port is in use" in line


def test_that_there_are_no_keys_is_said_before_a_port_is_bound(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ("--host", "0.0.0.0", "--http-port", port, "--stomp-port", "0")
        assert "there are no API keys" in refusal(*arguments, cwd=tmp_path)
        assert list(tmp_path.iterdir()) == [], "nothing was made"
        # With a database that holds none, and then one.
        assert run("keys", "add", "one", cwd=tmp_path).returncode == 0
        assert run("keys", "revoke", "one", cwd=tmp_path).returncode == 0
        assert "there are no API keys" in refusal(*arguments, cwd=tmp_path)
        assert run("keys", "add", "one", cwd=tmp_path).returncode == 0
        assert "the port is in use" in refusal(*arguments, cwd=tmp_path)
        (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
        broken = ("--engine", "sqlite:broken.db", "--http-port", "0")
        assert "can't be opened as a database" in refusal(*arguments, *broken, cwd=tmp_path)


def test_a_database_held_by_another_server(tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as server:
        line = refusal("--http-port", "0", "--stomp-port", "0", cwd=tmp_path)
        assert f"held by another server (process {server.process.pid})" in line
        assert created(server.url).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--engine", "postgres:x"), "engine: 'postgres:x' has an unknown scheme"),
        (("--engine", "sqlite:"), "names no file"),
        (("--engine", "sqlite:no/such/directory/x.db"), "can't be opened"),
        (("--engine", "sqlite:broken.db"), "broken.db"),
        (("--host", "0.0.0.0"), "there are no API keys"),
        (("--host", "a..b"), "host: "),
        (("--host", "192.0.2.1", "--api-key", "a:b"), "is not one of this machine's"),
        (("--api-key", "secret-without-colon"), "api-key: expected ID:SECRET"),
        (("--tls-cert", "broken.db"), "tls_cert and tls_key: both"),
        (("--tls-cert", "none.pem", "--tls-key", "broken.db"), "tls_cert: none.pem: can't be read"),
        (("--tls-cert", "broken.db", "--tls-key", "broken.db"), "are not a PEM certificate"),
        (("--config", "none.toml"), "config: none.toml: can't be read"),
        (("--config", "broken.db"), "config: broken.db: is not"),
        (("--config", "wrong.toml"), "http_prot: is not known; did you mean http_port?"),
        (("--limit", "body_sise=1"), "body_sise: is not known; did you mean body_size?"),
        (("--limit", "body_size=much"), "body_size: 'much': expected `int`"),
        (("--limit", "body_size=0"), "limits: body_size: 0 is not above 0"),
        (("--delivery", "window=0"), "delivery: window: 0 is outside"),
        (("--swimlanes", "0"), "swimlanes: 0 is outside"),
        (("--http-port", "70000"), "http_port: 70000 is outside"),
        (("--log-level", "loud"), "log_level: 'loud' is none of"),
    ],
)
def test_what_keeps_it_from_starting(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database, and no certificate\xff" * 100)
    (tmp_path / "wrong.toml").write_text("http_prot = 1\n")
    ports = () if "--http-port" in arguments else ("--http-port", "0")
    line = refusal(*ports, "--stomp-port", "0", *arguments, cwd=tmp_path)
    assert said in line
    assert "secret-without-colon" not in line


def test_usage_errors_end_with_2(tmp_path: Path) -> None:
    for arguments in (["serve", "--http-port", "x"], ["serve", "--nope"], ["nope"]):
        result = run(*arguments, cwd=tmp_path)
        assert result.returncode == 2, arguments
        assert "Traceback" not in result.stderr


def test_a_value_comes_from_the_option_the_variable_the_file_or_is_the_default(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.toml").write_text(
        'engine = "sqlite:from-file.db"\nhttp_port = 0\nstomp-port = 0\n'
        'api_keys = ["file:f"]\nlog_level = "warning"\n'
        "[limits]\nbody_size = 500\nevents_per_append = 3\nconnections = 7\n"
        "[delivery]\nwindow = 5\n"
    )
    variables = {
        "EVENTUARY_CONFIG": "a.toml",
        "EVENTUARY_ENGINE": "sqlite:from-variable.db",
        "EVENTUARY_LIMIT_EVENTS_PER_APPEND": "2",
        "EVENTUARY_LIMIT_BODY_SIZE": "400",
    }
    with serving("--limit", "body-size=300", cwd=tmp_path, env=variables, ports=False) as server:
        assert "engine sqlite:from-variable.db" in server.line
        assert "open access" not in server.line
        assert created(server.url).status_code == 401
        assert created(server.url, ("file", "f")).status_code == 200

        def explanation(events: int, data: str) -> str:
            event = {"eventType": "t", "eventData": data}
            body = {"entityTypeName": "A", "events": [event] * events}
            answer = httpx.post(f"{server.url}/entity/x", json=body, auth=("file", "f"), timeout=30)
            return str(answer.json().get("explanation"))

        assert "over the limit body_size of 300 bytes" in explanation(1, "x" * 350)
        assert "over the limit events_per_append of 2" in explanation(3, "")
    with serving(
        "--engine", "sqlite:from-option.db", cwd=tmp_path, env=variables, ports=False
    ) as server:
        assert "engine sqlite:from-option.db" in server.line
    with serving("--config", "a.toml", cwd=tmp_path, ports=False) as server:
        assert "engine sqlite:from-file.db" in server.line


def test_keys_from_a_variable_are_separated_by_blanks(tmp_path: Path) -> None:
    with serving(cwd=tmp_path, env={"EVENTUARY_API_KEY": "a:1 b:2"}) as server:
        assert created(server.url, ("a", "1")).status_code == 200
        assert created(server.url, ("b", "2")).status_code == 200
        refused = created(server.url, ("b", "1"))
        assert refused.status_code == 401
        assert refused.json()["error"] == "unauthorized"
        assert refused.headers["www-authenticate"] == 'Basic realm="eventuary"'


def test_any_address_with_a_key(tmp_path: Path) -> None:
    with serving("--host", "0.0.0.0", "--api-key", "a:1", cwd=tmp_path) as server:
        assert server.line.startswith(f"Eventuary {__version__} ready: http://0.0.0.0:")
        url = f"http://127.0.0.1:{server.http_port}"
        assert created(url).status_code == 401
        assert created(url, ("a", "1")).status_code == 200


def test_tls(tmp_path: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=30,
    )
    tls = ("--tls-cert", "cert.pem", "--tls-key", "key.pem")
    with serving(*tls, cwd=tmp_path) as server:
        assert f"https://127.0.0.1:{server.http_port} stomps://127.0.0.1:" in server.line
        trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        with httpx.Client(verify=trusted, base_url=server.url, timeout=30) as client:
            assert client.post("/entity/default", json=CREATION).status_code == 200
            large = {
                "entityTypeName": "A",
                "events": [{"eventType": "t", "eventData": "x" * 900_000}] * 3,
                "entityId": "large",
            }
            assert client.post("/entity/default", json=large).status_code == 200
            found = client.get("/entity/default/A/large").json()
            assert [len(event["eventData"]) for event in found["events"]] == [900_000] * 3
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{server.http_port}/", timeout=30)
        assert server.end(signal.SIGTERM) == 0
        assert "Traceback" not in server.output()[1]


def test_the_version(tmp_path: Path) -> None:
    result = run("--version", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"eventuary {__version__}\n")


def test_help_names_every_setting(tmp_path: Path) -> None:
    text = run("serve", "--help", cwd=tmp_path).stdout
    for option in (
        *("--host", "--http-port", "--stomp-port", "--engine", "--api-key", "--tls-cert"),
        *("--tls-key", "--config", "--swimlanes", "--limit", "--delivery", "--log-level"),
    ):
        assert option in text
    assert "Traceback" not in text


def test_the_installed_command_is_this_one() -> None:
    """Where the distribution is installed, there is a command of its name."""
    command = Path(sys.executable).with_name("eventuary")
    result = subprocess.run(
        [command, "--version"], env=environment(), capture_output=True, text=True, check=False
    )
    assert result.stdout == f"eventuary {__version__}\n"


def test_streams_end_when_it_does(tmp_path: Path) -> None:
    """Whoever follows the log is told by the stream's proper end, not by a broken connection."""
    with (
        serving(cwd=tmp_path) as server,
        httpx.stream("GET", f"{server.url}/v1/spaces/default/log/stream", timeout=20) as stream,
    ):
        assert stream.status_code == 200
        assert created(server.url).status_code == 200
        parts = stream.iter_text()
        seen = ""
        while "OrderCreated" not in seen:
            seen += next(parts)
        server.process.send_signal(signal.SIGTERM)
        for _ in parts:
            pass  # until its end; one that is cut raises
        assert server.process.wait(20) == 0
        said = server.output()[1]
        assert "were not answered within" not in said
        assert "Traceback" not in said


def test_the_other_routes_are_there(tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as server:
        assert httpx.get(f"{server.url}/health/live", timeout=30).status_code == 200
        assert server.becomes_ready()
        assert created(server.url).status_code == 200
        metrics = httpx.get(f"{server.url}/metrics", timeout=30).text
        assert 'status="200"' in metrics
        unknown = httpx.get(f"{server.url}/nothing/here", timeout=30)
        assert unknown.status_code == 404
        assert unknown.json()["error"] == "not_found"


def test_rubbish_on_its_ports_leaves_no_trace(tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as server:
        for port in (server.http_port, server.stomp_port):
            for rubbish in (b"\0" * 1000, b"GET / HTTP/1.1\r\n" * 50, b"\x16\x03\x01", b""):
                with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                    connection.sendall(rubbish)
        assert created(server.url).status_code == 200
        assert server.end(signal.SIGTERM) == 0
        assert server.output() == ("", "")
