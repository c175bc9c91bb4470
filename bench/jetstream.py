"""The engine on NATS JetStream: creates and finds over HTTP, empty and after millions of events.

Three nodes, the servers and the load share this machine. So what a cluster of three machines does
is not measured here, but how much is left of what JetStream allows, and what grows with the log.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from bench import events
from bench.http_connection import HttpConnection
from bench.processes import ceiling, creates_of_both, rate, server
from bench.row import Effort, Row

if TYPE_CHECKING:
    from tests.nats.cluster import NatsCluster

_CLIENTS = 128

#: Events of the log in which entities of more and of less events are found.
_EVENTS_FOUND = 200_000

#: Of these entities so many are read again and again.
_HOT = 20


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the rows about JetStream."""
    from tests.nats.cluster import NatsCluster

    cluster = NatsCluster()
    try:
        cluster.start()
        rows = _measure_creates(directory, effort, cluster)
        for each in (10, 1_000):
            rows += _measure_finds(directory, effort, cluster, each)
        return [*rows, *_measure_full(directory, effort, cluster)]
    finally:
        cluster.remove()


def _measure_creates(directory: Path, effort: Effort, cluster: "NatsCluster") -> list[Row]:
    url = cluster.url_of("creates")
    one, possible, two = list[float](), list[float](), list[float]()
    with (
        server(directory, engine=url) as first,
        server(directory, engine=url) as second,
        ceiling(directory) as bare,
    ):
        for _ in range(effort.rounds):
            one.append(rate("load_http", first.http, _CLIENTS, effort.seconds, "create"))
            alone = rate("bare_jetstream", url, effort.seconds)
            http = rate("load_http", bare, _CLIENTS, effort.seconds, "create")
            possible.append(min(alone, http))
            two.append(creates_of_both(first, second, _CLIENTS, effort.seconds))
    work = f"JetStream, 3 nodes here: create, {_CLIENTS} connections"
    return [
        Row(
            work=f"{work}, one server",
            ours=one,
            unit="appends/s",
            beside="the lower of JetStream alone (publishes with a version check) and bare HTTP",
            theirs=possible,
        ),
        Row(
            work=f"{work}, two servers",
            ours=two,
            unit="appends/s",
            beside="one server",
            theirs=one,
        ),
    ]


def _measure_finds(directory: Path, effort: Effort, cluster: "NatsCluster", each: int) -> list[Row]:
    """Measure finds of entities of so many events, of all of them and of a few that are hot."""
    url, ids, hot = cluster.url_of(f"of-{each}"), directory / "ids", directory / "hot-ids"
    with server(directory, engine=url) as ours:
        rate("load_http", ours.http, 1, 0.1, "create")  # the names of types
    rate("fill_jetstream", url, _EVENTS_FOUND // each, each, ids)
    hot.write_text("\n".join(ids.read_text().split()[:_HOT]))
    clients = 64 if each < 100 else 16
    found, again, fixed = list[float](), list[float](), list[float]()
    with server(directory, engine=url) as ours:
        with HttpConnection(ours.http) as http:
            for entity_id in hot.read_text().split():
                answer = http.call(events.find(entity_id))
                assert answer.count(b'"eventData"') == each
        with ceiling(directory, answer) as bare:
            for _ in range(effort.rounds):
                again.append(rate("load_http", ours.http, clients, effort.seconds, "find", hot))
                found.append(rate("load_http", ours.http, clients, effort.seconds, "find", ids))
                fixed.append(rate("load_http", bare, clients, effort.seconds, "fixed"))
    work = (
        f"JetStream: find, {each:,} events scattered over {_EVENTS_FOUND:,}, {clients} connections"
    )
    return [
        Row(
            work=f"{work}, {which}",
            ours=rates,
            unit="finds/s",
            beside="bare ASGI application, the same bytes",
            theirs=fixed,
        )
        for which, rates in (
            (f"any of {_EVENTS_FOUND // each:,} entities", found),
            (f"{_HOT} that were read before", again),
        )
    ]


def _measure_full(directory: Path, effort: Effort, cluster: "NatsCluster") -> list[Row]:
    """Measure a log of many events beside one of few, in turn, in the same cluster."""
    number = effort.stored_events * 3 // 5
    full, few = cluster.url_of("full"), cluster.url_of("few")
    ids, few_ids = directory / "ids", directory / "few-ids"
    for url in (full, few):
        with server(directory, engine=url) as ours:
            rate("load_http", ours.http, 1, 0.1, "create")  # the names of types
    before = cluster.memory()
    rate("fill_jetstream", full, number // 5, 5, ids)
    grown = cluster.memory() - before
    rate("fill_jetstream", few, 4_000, 5, few_ids)
    to_full, to_few, of_full, of_few = list[float](), list[float](), list[float](), list[float]()
    with server(directory, engine=full) as old, server(directory, engine=few) as new:
        with HttpConnection(old.http) as http:
            answer = http.call(events.find(ids.read_text().split()[0]))
        assert answer.count(b'"eventData"') == 5
        for _ in range(effort.rounds):
            to_full.append(rate("load_http", old.http, _CLIENTS, effort.seconds, "create"))
            to_few.append(rate("load_http", new.http, _CLIENTS, effort.seconds, "create"))
            of_full.append(rate("load_http", old.http, 64, effort.seconds, "find", ids))
            of_few.append(rate("load_http", new.http, 64, effort.seconds, "find", few_ids))
    stored = f"{number:,} events of {number // 5:,} entities stored"
    return [
        Row(
            work=f"JetStream: create, {stored}",
            ours=to_full,
            unit="appends/s",
            beside="20,000 events stored",
            theirs=to_few,
        ),
        Row(
            work=f"JetStream: find, 5 events, {stored}",
            ours=of_full,
            unit="finds/s",
            beside="20,000 events stored",
            theirs=of_few,
        ),
        Row(
            work=f"JetStream: memory of a node for an entity, {stored}",
            ours=[grown * 1e6 / len(cluster.nodes) / (number / 5)],
            unit="bytes",
            beside="",
            theirs=[],
        ),
    ]
