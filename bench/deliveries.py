"""Delivering: one subscriber that catches up, and ten that are live."""

from pathlib import Path

from bench.processes import rate, run, server
from bench.row import Effort, Row

_SUBSCRIBERS = 10
_APPENDS_PER_SECOND = 500


def measure(directory: Path, effort: Effort) -> list[Row]:
    """Return the rows about subscriptions."""
    events = effort.catch_up_events
    catch_up, fan_out, median, most = list[float](), list[float](), list[float](), list[float]()
    with server(directory) as ours:
        rate("bulk_calls", ours.http, events // 10_000, 10)
        for number in range(effort.rounds):
            catch_up.append(rate("stomp_reader", ours.stomp, f"reader-{number}", events))
    live = directory / "live"
    live.mkdir()
    with server(live) as ours:
        where = (ours.http, ours.stomp, _SUBSCRIBERS)
        for _ in range(effort.rounds):
            fan_out.append(rate("live_fan_out", *where, effort.seconds))
            taken = run("live_latency", *where, _APPENDS_PER_SECOND, effort.seconds)
            median.append(taken["p50"])
            most.append(taken["p99"])
    at = f"at {_APPENDS_PER_SECOND} appends/s, {_SUBSCRIBERS} subscribers"
    return [
        Row(
            work=f"catch-up of {events:,} events, each acknowledged",
            ours=catch_up,
            unit="events/s",
            target=30_000,
        ),
        Row(
            work=f"live, {_SUBSCRIBERS} subscribers of the same events",
            ours=fan_out,
            unit="deliveries/s",
            target=50_000,
        ),
        Row(
            work=f"append to delivery, median, {at}",
            ours=median,
            unit="ms",
            target=5.0,
            at_most=True,
        ),
        Row(
            work=f"append to delivery, 99th percentile, {at}",
            ours=most,
            unit="ms",
            target=20.0,
            at_most=True,
        ),
    ]
