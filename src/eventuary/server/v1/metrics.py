"""``/metrics`` in Prometheus' text format: numbers that are counted anyway, read at the scrape.

Lags are counted by the engine, which costs something: for one scrape at a time, every few seconds
at most, and no scrape waits long for it. The number of their series is bounded.
"""

import asyncio
from collections.abc import Iterator

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from eventuary.delivery.lags import Lags
from eventuary.delivery.status import LAG_CAP
from eventuary.embedded import EmbeddedEventStore
from eventuary.server.v1.call import Call
from eventuary.server.v1.operation import Access, Operation, Sample
from eventuary.server.v1.routing import Answers
from eventuary.server.v1.sources import Sources
from eventuary.version import __version__

#: Subscriptions with a series of their own.
MOST_SERIES = 1000

#: Seconds for which lags are kept.
_LAGS_KEPT = 5.0

#: Seconds that a scrape waits for them: what is not counted by then is shown by a later one.
_PATIENCE = 2.0


class MetricRoutes:
    """``GET /metrics``."""

    def __init__(self, store: EmbeddedEventStore, sources: Sources, answers: Answers) -> None:
        self._store = store
        self._sources = sources
        self._answers = answers
        self._lags = store.subscriptions.lags()
        self._kept_until = 0.0

    async def scrape(self, call: Call) -> Response:
        """Answer all metrics."""
        del call  # it names nothing
        loop = asyncio.get_running_loop()
        if self._lags.looking or loop.time() >= self._kept_until:
            await self._lags.look(MOST_SERIES, _PATIENCE)
            self._kept_until = loop.time() + _LAGS_KEPT
        text = generate_latest(_Scrape(self._store, self._sources, self._answers, self._lags))
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def operations(self) -> list[Operation]:
        """Return what this file answers."""
        return [
            Operation(
                method="GET",
                path="/metrics",
                name="metrics",
                tag="Health",
                summary="Metrics for Prometheus",
                description=(
                    "Counters since the start, gauges, and the lag of each subscription, whether "
                    f"or not somebody consumes it: of {MOST_SERIES:,} at most, counted up to "
                    f"{LAG_CAP:,} and every few seconds. It names subscriptions of every space, so "
                    "it takes a key for all of them; a read-only one will do."
                ),
                access=Access.READ_ALL,
                handle=self.scrape,
                answer="text/plain",
                sample=Sample(
                    answer="# HELP eventuary_appends_total Appends that are on disk.\n"
                    "# TYPE eventuary_appends_total counter\neventuary_appends_total 1240.0\n"
                ),
            )
        ]


class _Scrape(Collector):
    """One reading of everything."""

    def __init__(
        self,
        store: EmbeddedEventStore,
        sources: Sources,
        answers: Answers,
        lags: Lags,
    ) -> None:
        self._store = store
        self._sources = sources
        self._answers = answers
        self._lags = lags

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        info = GaugeMetricFamily("eventuary_info", "The server's version.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from self._counters()
        yield from self._gauges()
        yield from self._wires()
        yield from self._subscriptions()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            yield from collector.collect()

    def _counters(self) -> Iterator[Metric]:
        counted = self._store.statistics
        for name, text, value in (
            ("appends", "Appends that are on disk.", counted.appends),
            ("appended_events", "Events that are on disk.", counted.appended_events),
            (
                "append_conflicts",
                "Appends refused by a version, an existing entity or an applied trigger.",
                counted.append_conflicts,
            ),
            ("append_failures", "Appends answered 503.", counted.append_failures),
            ("commit_groups", "Commits that wrote appends.", counted.groups),
            ("loads", "Entities read.", counted.loads),
            ("deliveries", "Messages handed to consumers.", counted.deliveries),
            (
                "redeliveries",
                "Messages that were not the first of their event.",
                counted.redeliveries,
            ),
            ("acknowledgements", "Messages acknowledged.", counted.acknowledgements),
            ("dead_letters", "Events that became dead letters.", counted.dead_letters),
        ):
            yield CounterMetricFamily(f"eventuary_{name}", text, value)

    def _gauges(self) -> Iterator[Metric]:
        store = self._store
        for name, text, value in (
            ("head_position", "The position of the newest event.", store.events),
            ("waiting_appends", "Appends that wait for the disk.", store.waiting_appends),
            (
                "waiting_characters",
                "Characters of event data that wait for the disk.",
                store.engine.counts.waiting_characters,
            ),
            ("tail_events", "The newest events, held in memory.", store.tail_events),
            ("consumers", "Consumers that are connected.", store.consumers),
        ):
            yield GaugeMetricFamily(f"eventuary_{name}", text, value)

    def _wires(self) -> Iterator[Metric]:
        sources = self._sources
        connections = GaugeMetricFamily(
            "eventuary_connections", "Connections that are open.", labels=["wire"]
        )
        connections.add_metric(["http"], sources.http_connections)
        connections.add_metric(["stomp"], sources.stomp_connections)
        yield connections
        answers = CounterMetricFamily(
            "eventuary_http_answers", "HTTP answers.", labels=["routes", "status"]
        )
        for routes, counted in (("entity", sources.entity_answers), ("v1", self._answers)):
            for status, number in sorted(counted.items()):
                answers.add_metric([routes, str(status)], number)
        yield answers
        refusals = CounterMetricFamily(
            "eventuary_http_refusals",
            "HTTP requests and connections refused before they reached a route.",
            labels=["status"],
        )
        for status, number in sorted(sources.refusals.items()):
            refusals.add_metric([str(status)], number)
        yield refusals

    def _subscriptions(self) -> Iterator[Metric]:
        labels = ["space", "subscriber", "durability"]
        lag = GaugeMetricFamily(
            "eventuary_subscription_lag",
            f"Selected events that are not acknowledged, counted up to {LAG_CAP}.",
            labels=labels,
        )
        consumers = GaugeMetricFamily(
            "eventuary_subscription_consumers",
            "Consumers that share the subscription.",
            labels=labels,
        )
        parked = GaugeMetricFamily(
            "eventuary_subscription_dead_letters",
            "Dead letters of the subscription that wait for an operator.",
            labels=labels,
        )
        known = self._lags.known
        for status in known:
            values = [status.space, status.subscriber_id, status.durability]
            lag.add_metric(values, status.lag)
            consumers.add_metric(values, status.consumers)
            parked.add_metric(values, status.dead_letters)
        yield from (lag, consumers, parked)
        yield GaugeMetricFamily(
            "eventuary_subscriptions_without_series",
            f"Subscriptions beyond the {MOST_SERIES} that are shown, or not counted yet.",
            self._lags.total - len(known),
        )
