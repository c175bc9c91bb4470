"""A full disk: the append answers 503, nothing is half-written, reads go on, space brings it back.

Twice for real: with a limit on the server's file sizes, at which writes fail in the middle as on a
full disk; and on a small file system that is filled up, where this machine lets us mount one.
"""

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.load import Writer, check_all
from tests.acceptance.rest_client import Event, Refused, Rest
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.stomp_client import StompClient
from tests.acceptance.waiting import wait_until


def _can_append(rest: Rest) -> bool:
    try:
        rest.create("Probe", [Event("Probed")])
    except Refused as refused:
        if refused.status != 503:
            raise
        return False
    return True


@pytest.mark.parametrize("limit", [0, 5_000, 70_000])
def test_a_limit_on_file_sizes(start: Start, limit: int) -> None:
    server = start()
    with Rest(server.url) as rest:
        created = rest.create("Order", [Event("Ordered")], entity_id="before")
        server.limit_file_size(limit)
        wait_until(lambda: not _can_append(rest), "writes fail")
        # Whatever is left must not be enough for this one: it is refused as a whole.
        with pytest.raises(Refused) as refused:
            rest.create("Order", [Event("Ordered", "x" * 10_000)] * 100, entity_id="big")
        assert (refused.value.status, refused.value.code) == (503, "service_unavailable")

        assert [each.id for each in rest.find("Order", "before")] == created.event_ids
        assert rest.find("Order", "big") == []
        assert rest.http.get("/health/live").status_code == 200
        assert rest.http.get("/health/ready").status_code == 503

        server.limit_file_size(None)
        wait_until(lambda: _can_append(rest), "it recovers")
        wait_until(lambda: rest.http.get("/health/ready").status_code == 200, "it says so")
        assert rest.find("Order", "big") == []
        big = rest.create("Order", [Event("Ordered", "x" * 10_000)] * 100, entity_id="big")
        stored = [each.id for each in rest.find("Order", "big")]
        assert stored == big.event_ids
    server.restart()
    with Rest(server.url) as rest:
        assert [each.id for each in rest.find("Order", "big")] == big.event_ids


def test_subscribers_outlive_a_full_disk(start: Start) -> None:
    server = start()
    types = {"Order": ["Ordered"]}
    with Rest(server.url) as rest:
        ids = rest.create("Order", [Event("Ordered")] * 20).event_ids
        with StompClient(server.stomp_port) as client:
            client.subscribe("s", types)
            server.limit_file_size(0)
            assert [event.id for event in client.take(20)] == ids
            wait_until(lambda: not _can_append(rest), "writes fail")
            server.limit_file_size(None)
            wait_until(lambda: _can_append(rest), "it recovers")
            ids = rest.create("Order", [Event("Ordered")]).event_ids
            assert [event.id for event in client.take(1)] == ids
        path = "/v1/spaces/default/subscriptions/s"
        wait_until(lambda: rest.http.get(path).json()["lag"] == 0, "positions are stored")


def test_writers_at_work_while_the_disk_fills_and_empties(start: Start) -> None:
    server = start()
    writers = [Writer(server.url, f"w{number}", 7) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        for limit in (0, 20_000, 4_096):
            before = sum(writer.acknowledged for writer in writers)
            wait_until(
                lambda: sum(writer.acknowledged for writer in writers) > before + 30,  # noqa: B023
                "writers get on",
            )
            server.limit_file_size(limit)
            with Rest(server.url) as rest:
                wait_until(lambda: not _can_append(rest), "writes fail")
            server.limit_file_size(None)
    finally:
        for writer in writers:
            writer.stop()
    check_all(server.url, writers)
    server.restart()
    check_all(server.url, writers)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", path],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small file system: this user may not mount one ({mounted.stderr.strip()})")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def _fill(file: io.RawIOBase) -> NoReturn:
    while True:
        file.write(bytes(4096))


def test_a_disk_that_is_full(start: Start, small_disk: Path) -> None:
    server: ServerProcess = start(database=small_disk / "e.db")
    ballast = small_disk / "ballast"
    with Rest(server.url) as rest:
        created = rest.create("Order", [Event("Ordered")], entity_id="before")
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            _fill(file)
        wait_until(lambda: not _can_append(rest), "writes fail")
        with pytest.raises(Refused) as refused:
            rest.create("Order", [Event("Ordered", "x" * 10_000)] * 50, entity_id="big")
        assert (refused.value.status, refused.value.code) == (503, "service_unavailable")
        assert [each.id for each in rest.find("Order", "before")] == created.event_ids
        assert rest.find("Order", "big") == []

        ballast.unlink()
        wait_until(lambda: _can_append(rest), "it recovers")
        assert rest.find("Order", "big") == []
    assert server.terminate() == 0
    server.start()
    with Rest(server.url) as rest:
        assert [each.id for each in rest.find("Order", "before")] == created.event_ids
        assert rest.find("Order", "big") == []
    assert server.terminate() == 0
