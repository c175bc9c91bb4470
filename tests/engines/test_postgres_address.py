"""The URL of a PostgreSQL engine: its hosts, each for itself, and what can't be is one line."""

import asyncio
import os
import signal

import pytest

from eventuary.engines.opening import open_engine
from eventuary.engines.postgres.address import Host, read_address
from eventuary.engines.postgres.connecting import connect, disconnect
from eventuary.errors import ConfigurationError
from tests.ports import free_port
from tests.postgres.process import PostgresProcess


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql:///d", [("postgresql:///d", "")]),
        ("postgresql://u:p@h/d?schema=s", [("postgresql://u:p@h/d", "h")]),
        (
            "postgresql://u:p@a:1,[::1]:2,c/d?sslmode=require&schema=s",
            [
                ("postgresql://u:p@a:1/d?sslmode=require", "a:1"),
                ("postgresql://u:p@[::1]:2/d?sslmode=require", "[::1]:2"),
                ("postgresql://u:p@c/d?sslmode=require", "c"),
            ],
        ),
        (
            "postgresql:///d?host=a,b&port=1,2",
            [
                ("postgresql:///d?host=a&port=1", "a:1"),
                ("postgresql:///d?host=b&port=2", "b:2"),
            ],
        ),
        (
            "postgresql:///d?host=/run,b:7&port=",
            [("postgresql:///d?host=%2Frun", "/run"), ("postgresql:///d?host=b%3A7", "b:7")],
        ),
    ],
)
def test_each_host_has_a_connection_string(url: str, hosts: list[tuple[str, str]]) -> None:
    assert list(read_address(url).hosts) == [Host(dsn, name) for dsn, name in hosts]


def test_a_server_that_takes_writes_is_wanted_unless_the_url_says_more() -> None:
    assert read_address("postgresql://a,b/d").wanted == "read-write"
    address = read_address("postgresql://a,b/d?target_session_attrs=primary")
    assert address.wanted == "primary"
    assert [host.dsn for host in address.hosts] == ["postgresql://a/d", "postgresql://b/d"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://a,,b/d", "host 2 of 3 has no name"),
        ("postgresql://a,:5433/d", "host 2 of 2 has no name"),
        ("postgresql://a:x/d", "the port of host 1 is no number"),
        ("postgresql://u:secret@a,[::1]:65536/d", "the port of host 2 is no number"),
        ("postgresql:///d?host=a,b,c&port=1,2", "3 hosts, and 2 ports"),
        ("postgresql:///d?host=a,b&port=1,x", "the port of host 2 is no number"),
        ("postgresql://u:se@cret:7@h/d", "@ is %40"),
        ("postgresql://u:7/secret@h/d", "/ is %2F"),
        ("postgresql://a,b/d?target_session_attrs=standby", "=standby: events are written, so"),
        ("postgresql://a/d?target_session_attrs=any", "it is read-write or primary"),
    ],
)
def test_what_cannot_be_is_one_line(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        open_engine(url)
    assert "cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_host_that_never_answers_takes_no_time_from_the_others(
    postgres: PostgresProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine that is gone: a connection to it is neither made nor refused."""
    monkeypatch.setattr("eventuary.engines.postgres.connecting._CONNECT_TIMEOUT", 60.0)
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    silent = server.sockets[0].getsockname()[1]
    hosts = f"127.0.0.1:{silent},127.0.0.1:{free_port()},127.0.0.1:{postgres.port}"
    try:
        async with asyncio.timeout(30):  # less than that host is waited for
            connection = await connect(read_address(f"postgresql://postgres@{hosts}/postgres"))
        assert await connection.fetchval("SHOW port") == str(postgres.port)
        await disconnect(connection)
    finally:
        server.close()


async def test_when_no_host_is_the_primary_each_says_why() -> None:
    ports = [free_port() for _ in range(2)]
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    url = f"postgresql://me:secret@{hosts}/d"
    with pytest.raises(ConfigurationError, match="can't be opened: no host is the primary") as told:
        await open_engine(url).start(lambda committed: None)
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)
    for port in ports:
        assert f"127.0.0.1:{port}: " in str(told.value)


async def test_a_database_that_takes_no_writes_is_refused(postgres: PostgresProcess) -> None:
    url = f"{postgres.url}?default_transaction_read_only=on"
    with pytest.raises(ConfigurationError, match="is a standby, or takes no writes"):
        await open_engine(url).start(lambda committed: None)


async def test_what_was_done_is_not_undone_by_a_server_that_says_no_goodbye(
    postgres: PostgresProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still just when it is left: a start, or a key that was stored, is no failure."""
    monkeypatch.setattr("eventuary.engines.postgres.connecting._CLOSE_TIMEOUT", 0.1)
    connection = await connect(read_address(postgres.url))
    process = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(process, signal.SIGSTOP)
    try:
        await disconnect(connection)
    finally:
        os.kill(process, signal.SIGCONT)
    assert connection.is_closed()
