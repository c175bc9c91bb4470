"""The engine on PostgreSQL: creates over HTTP, beside what database and HTTP allow, and peers."""

import re
import shutil
import subprocess
from pathlib import Path
from urllib.request import Request, urlopen

from bench.processes import Server, ceiling, creates_of_both, rate, server
from bench.row import Effort, Row

_CLIENTS = 64
_MESSAGE_DB = "@eventide/message-db@1.3.1"


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the rows about PostgreSQL. Peers that can't be had are left out."""
    from tests.postgres.process import PostgresProcess

    database = PostgresProcess()
    database.start()
    try:
        rows = _measure(directory, effort, database.url)
        return [*rows, _measure_full(directory, effort, database.url)]
    finally:
        database.remove()


def _measure(directory: Path, effort: Effort, url: str) -> list[Row]:
    seconds = effort.seconds
    one, two, of_two = list[float](), list[float](), list[float]()
    groups, http, possible = list[float](), list[float](), list[float]()
    messages, saves = list[float](), list[float]()
    scripts = _message_db(directory)
    host, port, user = _parts(url)
    sizes = list[float]()
    with (
        server(directory, engine=url) as first,
        server(directory, engine=url) as second,
        ceiling(directory) as bare,
    ):
        for _ in range(effort.rounds):
            before = _counts(first)
            one.append(rate("load_http", first.http, _CLIENTS, seconds, "create"))
            after = _counts(first)
            size = (after[0] - before[0]) / (after[1] - before[1])
            sizes.append(size)
            groups.append(rate("bare_postgres", url, seconds, max(1, round(size))))
            http.append(rate("load_http", bare, _CLIENTS, seconds, "create"))
            possible.append(min(groups[-1], http[-1]))
            two.append(creates_of_both(first, second, _CLIENTS, seconds))
            of_two.append(one[-1])
            if scripts is not None:
                messages.append(rate("peer_message_db", url, scripts, seconds, _CLIENTS))
            saves.append(rate("peer_eventsourcing_postgres", host, port, user, seconds, _CLIENTS))
    work = f"PostgreSQL: create, {_CLIENTS} connections"
    rows = [
        Row(
            work=f"{work}, one server",
            ours=one,
            unit="appends/s",
            beside=f"the lower of PostgreSQL alone, groups of {sizes[-1]:.0f}, and bare HTTP",
            theirs=possible,
            target=0.6,
        ),
        Row(
            work=f"{work}, one server",
            ours=one,
            unit="appends/s",
            beside=f"PostgreSQL alone, groups of {sizes[-1]:.0f}",
            theirs=groups,
        ),
        Row(
            work=f"{work}, two servers",
            ours=two,
            unit="appends/s",
            beside="one server",
            theirs=of_two,
            target=1.0,
        ),
        Row(
            work=f"{work}, one server",
            ours=one,
            unit="appends/s",
            beside="message-db's write_message, 64 connections",
            theirs=messages,
            target=5.0,
        ),
        Row(
            work=f"{work}, one server",
            ours=one,
            unit="appends/s",
            beside="eventsourcing library, PostgreSQL, 64 threads",
            theirs=saves,
            target=5.0,
        ),
    ]
    return [row for row in rows if row.theirs]


def _measure_full(directory: Path, effort: Effort, url: str) -> Row:
    """Measure a store of many events beside an empty one, in turn, in the same database."""
    events = effort.stored_events * 2
    to_full, to_empty = list[float](), list[float]()
    with server(directory, engine=f"{url}?schema=old_store") as filled:
        rate("load_http", filled.http, 1, 0.1, "create")  # the names of types
    rate("fill_postgres", url, events)
    with (
        server(directory, engine=f"{url}?schema=old_store") as filled,
        server(directory, engine=f"{url}?schema=new_store") as new,
    ):
        for _ in range(effort.rounds):
            to_full.append(rate("load_http", filled.http, _CLIENTS, effort.seconds, "create"))
            to_empty.append(rate("load_http", new.http, _CLIENTS, effort.seconds, "create"))
    return Row(
        work=f"PostgreSQL: create, {events:,} events stored",
        ours=to_full,
        unit="appends/s",
        beside="an empty store in the same database",
        theirs=to_empty,
        target=0.85,
    )


def _counts(of: Server) -> tuple[float, float]:
    """Return a server's appends and commits so far."""
    request = Request(
        f"http://127.0.0.1:{of.http}/metrics", headers={"Authorization": "Basic YTpi"}
    )
    with urlopen(request) as answer:
        text = answer.read().decode()
    found = [
        re.search(rf"^eventuary_{name}_total (\S+)$", text, re.MULTILINE)
        for name in ("appends", "commit_groups")
    ]
    appends, groups = (float(each[1]) for each in found if each is not None)
    return appends, groups


def _parts(url: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"postgresql://([^@]+)@([^:]+):(\d+)/postgres", url)
    assert found is not None, url
    return found[2], found[3], found[1]


def _message_db(directory: Path) -> Path | None:
    """Fetch message-db's SQL; None where npm, or a package index, is not to be had."""
    if shutil.which("npm") is None:
        return None
    fetched = subprocess.run(
        ["npm", "pack", "--silent", _MESSAGE_DB], cwd=directory, capture_output=True, check=False
    )
    archives = list(directory.glob("*.tgz"))
    if fetched.returncode != 0 or not archives:
        return None
    shutil.unpack_archive(archives[0], directory, filter="data")
    return directory / "package" / "database"
