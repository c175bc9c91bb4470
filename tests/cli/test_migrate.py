"""``eventuary migrate``: a cut-over under load, and what the command says."""

import asyncio
import contextlib
import io
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import httpx
import pytest
from rich.console import Console

import eventuary.cli.event_progress
from eventuary.cli.event_progress import EventProgress
from tests.acceptance.load import ENTITY_TYPE, EVENT_TYPES, Outcome, Writer, check_all
from tests.acceptance.stomp_client import StompClient
from tests.acceptance.waiting import wait_until
from tests.cli.running import DEADLINE, environment, run, serving
from tests.migration.filling import fill

_TYPES = {ENTITY_TYPE: list(EVENT_TYPES)}


def _complaints(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Lines on standard error but those of progress, which a slow machine sees."""
    return [
        line
        for line in result.stderr.splitlines()
        if not line.startswith(("copying: ", "comparing: "))
    ]


@pytest.mark.parametrize(
    "kinds",
    [
        ("sqlite", "postgresql"),
        pytest.param(("postgresql", "sqlite"), marks=pytest.mark.torture),
    ],
)
def test_servers_go_on_until_the_cut_over(
    kinds: tuple[str, str], postgres_url: str, tmp_path: Path
) -> None:
    urls = {"sqlite": f"sqlite:{tmp_path / 'e.db'}", "postgresql": postgres_url}
    source, target = (urls[kind] for kind in kinds)
    with serving("--engine", source, cwd=tmp_path) as old:
        writers = [Writer(old.url, f"w{n}", n) for n in range(1)]
        for writer in writers:
            writer.start()
        try:
            with StompClient(old.stomp_port) as client:
                client.subscribe("view", _TYPES)
                taken = [each.id for each in client.take(30)]
                before = sum(each.acknowledged for each in writers)
                copied = run("migrate", source, target, cwd=tmp_path)
                assert copied.returncode == 0, copied
                assert "SOURCE is still served (" in copied.stdout
                refused = run("serve", "--engine", target, cwd=tmp_path)
                assert refused.returncode == 2
                assert "is not finished: stop the servers of" in refused.stderr
                assert len(refused.stderr.splitlines()) == 1
                taken += [each.id for each in client.take(30)]
                wait_until(
                    lambda: sum(each.acknowledged for each in writers) > before,
                    "writers go on",
                )
                client.settle()
        finally:
            for writer in writers:
                writer.stop()
        assert old.end(signal.SIGTERM) == 0
    finished = run("migrate", source, target, cwd=tmp_path)
    assert finished.returncode == 0, finished
    assert f"Finished: serve --engine {target}, and SOURCE no more." in finished.stdout
    with serving("--engine", target, cwd=tmp_path) as new:
        stored = check_all(new.url, writers)
        ids = {event_id for each in stored.values() for event_id in each}
        assert len(taken) == len(set(taken)) == 60
        with StompClient(new.stomp_port, passing_over=set()) as client:
            client.subscribe("view", _TYPES)
            rest = [each.id for each in client.take(len(ids) - len(taken))]
            # Nothing is lost, and nothing that was acknowledged comes again.
            assert len(rest) == len(set(rest))
            assert set(taken) | set(rest) == ids
            later = Writer(new.url, "later", 7)
            later.start()
            fresh = client.take(20)
            later.stop()
            assert {each.id for each in fresh}.isdisjoint(ids)
        check_all(new.url, [later])
    assert all(
        batch.outcome is Outcome.ACKNOWLEDGED
        for writer in writers
        for batches in writer.batches.values()
        for batch in batches
    )


def test_what_it_says(tmp_path: Path) -> None:
    asyncio.run(fill(f"sqlite:{tmp_path / 'a.db'}"))
    first = run("migrate", "sqlite:a.db", "sqlite:b.db", cwd=tmp_path)
    assert (first.returncode, _complaints(first)) == (0, [])
    copied, same, digest, finished = first.stdout.splitlines()
    assert copied.startswith("Copied 188 events in ")
    assert same == (
        "The same up to position 188: 188 events, 3 spaces, 16 snapshots, 4 subscriptions, "
        "2 dead letters, 2 API keys."
    )
    assert len(digest.removeprefix("Digest of the log: ")) == 64
    assert finished == "Finished: serve --engine sqlite:b.db, and SOURCE no more."
    again = run("migrate", "sqlite:a.db", "sqlite:b.db", cwd=tmp_path)
    said = [same, digest, "It was finished before; nothing was written."]
    assert (again.returncode, again.stdout.splitlines()) == (0, said)
    verified = run("migrate", "--verify", "sqlite:a.db", "sqlite:b.db", cwd=tmp_path)
    assert (verified.returncode, verified.stdout.splitlines()) == (0, [same, digest])


def test_differences_end_it_with_code_1(tmp_path: Path) -> None:
    asyncio.run(fill(f"sqlite:{tmp_path / 'a.db'}"))
    assert run("migrate", "sqlite:a.db", "sqlite:b.db", cwd=tmp_path).returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "b.db")) as database:
        database.execute("UPDATE events SET metadata = 'other' WHERE position = 2")
        database.commit()
    for options in ([], ["--verify"]):
        result = run("migrate", "sqlite:a.db", "sqlite:b.db", *options, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (1, "")
        assert _complaints(result) == [
            "  position 2: metadata is '{\"actor\":\"test\"}' in SOURCE, 'other' in TARGET",
            "eventuary: SOURCE and TARGET differ: see above",
        ]


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("sqlite:no.db", "sqlite:b.db", "sqlite:no.db: there is no database"),
        ("oracle:x", "sqlite:b.db", "SOURCE: engine: 'oracle:x' has an unknown scheme"),
        ("sqlite:a.db", "file.db", "TARGET: engine: 'file.db' has an unknown scheme"),
        ("sqlite:a.db", "sqlite:a.db", "TARGET: is the same as SOURCE"),
        ("sqlite:a.db", "sqlite:./a.db", "holds 1 event and is no copy of SOURCE"),
        ("http://127.0.0.1:1", "sqlite:b.db", "SOURCE: 'http://127.0.0.1:1' is a server"),
        ("sqlite:text.db", "sqlite:b.db", "text.db: can't be opened as a database"),
        ("sqlite:empty.db", "sqlite:b.db", "there is no store in this database"),
        (
            "sqlite:a.db",
            "postgresql://me:hush@127.0.0.1:1/x",
            "postgresql://me:***@127.0.0.1:1/x: can't be opened",
        ),
        (
            "sqlite:a.db",
            "nats://me:hush@127.0.0.1:1/x",
            "nats://me:***@127.0.0.1:1/x: can't be opened",
        ),
    ],
)
def test_what_can_not_be_is_said_in_one_line(
    source: str, target: str, reason: str, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "empty.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
    (tmp_path / "text.db").write_text("no database" * 1000)
    with serving("--engine", "sqlite:a.db", cwd=tmp_path) as server:
        body = {
            "entityTypeName": "T",
            "entityId": "e",
            "events": [{"eventType": "E", "eventData": "{}"}],
        }
        assert httpx.post(f"{server.url}/entity/default", json=body, timeout=30).status_code == 200
    result = run("migrate", source, target, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, ""), result
    [line] = result.stderr.splitlines()
    assert line.startswith("eventuary: ")
    assert reason in line
    assert "hush" not in line
    assert not (tmp_path / "b.db").exists()


def test_keys_of_an_unfinished_copy_are_left_alone(tmp_path: Path) -> None:
    with serving("--engine", "sqlite:a.db", cwd=tmp_path):
        assert run("migrate", "sqlite:a.db", "sqlite:b.db", cwd=tmp_path).returncode == 0
    for command in (["add", "ops"], ["list"]):
        result = run("keys", *command, "--engine", "sqlite:b.db", cwd=tmp_path)
        assert result.returncode == 2
        assert "migration from sqlite:a.db is not finished" in result.stderr


@pytest.mark.torture
def test_a_copy_in_a_cluster_is_served_when_it_is_finished(nats_url: str, tmp_path: Path) -> None:
    with serving("--engine", "sqlite:a.db", cwd=tmp_path):
        assert run("migrate", "sqlite:a.db", nats_url, cwd=tmp_path).returncode == 0
        for command in (["serve"], ["keys", "add", "ops"], ["keys", "list"]):
            result = run(*command, "--engine", nats_url, cwd=tmp_path)
            assert result.returncode == 2
            assert "migration from sqlite:a.db is not finished" in result.stderr
            assert "secret" not in result.stderr
    finished = run("migrate", "sqlite:a.db", nats_url, cwd=tmp_path)
    assert "Finished: serve --engine nats://" in finished.stdout
    assert "secret" not in finished.stdout
    with serving("--engine", nats_url, cwd=tmp_path):
        back = run("migrate", nats_url, "sqlite:b.db", cwd=tmp_path)
        assert "SOURCE is still served (" in back.stdout


def test_ctrl_c_keeps_what_was_copied(postgres_url: str, tmp_path: Path) -> None:
    asyncio.run(fill(f"sqlite:{tmp_path / 'a.db'}"))
    assert run("migrate", "--clone", "sqlite:a.db", postgres_url, cwd=tmp_path).returncode == 0
    dsn, _, schema = postgres_url.partition("?schema=")

    async def interrupt() -> tuple[int | None, str]:
        """Press Ctrl-C while the command waits for a turn that somebody has."""
        holder = await asyncpg.connect(dsn, server_settings={"search_path": schema})
        await holder.execute("BEGIN; SELECT take_turn()")
        observer = await asyncpg.connect(dsn)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "eventuary", "migrate", "sqlite:a.db", postgres_url),
            cwd=tmp_path,
            env=environment(),
            stderr=subprocess.PIPE,
        )
        try:
            deadline = time.monotonic() + DEADLINE
            while not await observer.fetchval(
                "SELECT EXISTS ("
                "SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))",
                holder.get_server_pid(),
            ):
                assert time.monotonic() < deadline, "the command waits for nobody"
                assert process.returncode is None
            process.send_signal(signal.SIGINT)
            _, said = await asyncio.wait_for(process.communicate(), DEADLINE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await holder.close()
            await observer.close()
        return process.returncode, said.decode()

    code, said = asyncio.run(interrupt())
    assert code == 130
    assert said.splitlines()[-1] == (
        "Interrupted after 0 events, which are kept: the same command goes on from there."
    )
    assert run("migrate", "sqlite:a.db", postgres_url, cwd=tmp_path).returncode == 0


def test_progress_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventuary.cli.event_progress, "LINE_EVERY", 0.0)
    text = io.StringIO()
    with EventProgress(Console(file=text, force_terminal=False)) as progress:
        progress.show("copying", 4_000, 6_000)
        progress.show("comparing", 0, 10_000)
    first, second = text.getvalue().splitlines()
    assert first.startswith("copying: 4,000 events done, 6,000 left, ")
    assert first.endswith("/s")
    assert second == "comparing: 0 events done, 10,000 left, 0/s"


def test_progress_is_a_bar_on_a_terminal() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100)
    with EventProgress(console) as progress:
        progress.show("copying", 4_000, 6_000)
        progress.show("comparing", 2_500, 7_500)
    assert "comparing" in text.getvalue()
    assert "2500/10000" in text.getvalue()
