"""Health, and metrics as Prometheus' own parser reads them."""

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from eventuary.engines.engine import SubscriptionRecord
from eventuary.errors import ServiceUnavailable
from eventuary.server.v1 import health, metrics
from tests.event_store.recorder import Recorder
from tests.server.v1.calls import append_all, creation, new_event, refused
from tests.server.v1.conftest import LIMITS, RunningServer


async def test_health_needs_no_key(server: RunningServer) -> None:
    async with server.client(None) as anybody:
        assert (await anybody.get("/health/live")).json() == {"status": "live"}
        assert (await anybody.get("/health/ready")).json() == {"status": "ready"}


async def test_not_ready_while_draining(client: httpx.AsyncClient, server: RunningServer) -> None:
    server.sources.draining = True
    answer = await client.get("/health/ready")
    assert "shutting down" in refused(answer, 503, "service_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert (await client.get("/health/live")).status_code == 200


async def test_not_ready_when_too_much_waits(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    server.store.engine.counts.waiting += LIMITS.waiting_appends
    answer = await client.get("/health/ready")
    assert "waiting_appends" in refused(answer, 503, "service_unavailable")
    server.store.engine.counts.waiting -= LIMITS.waiting_appends
    assert (await client.get("/health/ready")).status_code == 200


async def test_not_ready_while_the_storage_takes_no_writes(
    client: httpx.AsyncClient, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    failed.set_exception(ServiceUnavailable("disk I/O error"))
    for future, says in ((failed, "disk I/O error"), (loop.create_future(), "has not taken")):
        with monkeypatch.context() as patch:
            patch.setattr(health, "_PATIENCE", 0.05)
            patch.setattr(server.store.engine, "probe", lambda f=future: f)
            answer = await client.get("/health/ready")
            assert says in refused(answer, 503, "service_unavailable")


async def scrape(client: httpx.AsyncClient) -> dict[str, float]:
    """Return the samples by name and labels, as Prometheus reads them."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation, family.name
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in samples
            samples[key] = sample.value
    return samples


async def test_metrics_count_what_happens(client: httpx.AsyncClient, server: RunningServer) -> None:
    await append_all(client, creation("a"), creation("b"), creation("a"))
    recorder = Recorder(acknowledging=False)
    recorder.consumer = await server.store.subscribe(
        "default", "odd name", {"Order": ["Created"]}, recorder
    )
    await recorder.until_events(2)
    recorder.acknowledge(recorder.events[:1])
    await client.get("/v1/spaces/default/log")
    await client.get("/v1/spaces/default/log?limit=0")
    samples = await scrape(client)
    for name, value in {
        "eventuary_appends_total": 2,
        "eventuary_appended_events_total": 2,
        "eventuary_append_conflicts_total": 1,
        "eventuary_append_failures_total": 0,
        "eventuary_loads_total": 0,
        "eventuary_deliveries_total": 2,
        "eventuary_redeliveries_total": 0,
        "eventuary_acknowledgements_total": 1,
        "eventuary_dead_letters_total": 0,
        "eventuary_head_position": 2,
        "eventuary_waiting_appends": 0,
        "eventuary_tail_events": 2,
        "eventuary_consumers": 1,
        "eventuary_connections{wire=http}": 3,
        "eventuary_connections{wire=stomp}": 5,
        "eventuary_http_answers_total{routes=entity,status=200}": 7,
        "eventuary_http_answers_total{routes=entity,status=409}": 2,
        "eventuary_http_answers_total{routes=v1,status=200}": 2,
        "eventuary_http_answers_total{routes=v1,status=400}": 1,
        "eventuary_http_refusals_total{status=413}": 1,
        "eventuary_subscription_lag{durability=DURABLE,space=default,subscriber=odd name}": 1,
        "eventuary_subscription_consumers{durability=DURABLE,space=default,subscriber=odd name}": 1,
        "eventuary_subscriptions_without_series": 0,
    }.items():
        assert samples[name] == value, name
    assert samples["eventuary_commit_groups_total"] >= 1
    assert samples["process_resident_memory_bytes"] > 0


async def test_labels_of_every_kind_survive(
    client: httpx.AsyncClient, server: RunningServer
) -> None:
    name = "a{b}=c,d/é 日本"
    await server.store.subscribe("späce", name, {"Order": ["Created"]}, Recorder())
    assert any(name in key and "späce" in key for key in await scrape(client))


async def test_the_series_are_bounded(
    client: httpx.AsyncClient, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_SERIES", 3)
    for number in range(5):
        await server.store.subscribe("default", f"s{number}", {"Order": ["Created"]}, Recorder())
    samples = await scrape(client)
    assert sum(key.startswith("eventuary_subscription_lag{") for key in samples) == 3
    assert samples["eventuary_subscriptions_without_series"] == 2


async def test_a_subscriber_that_is_gone_is_seen(
    client: httpx.AsyncClient, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_LAGS_KEPT", 0.0)
    consumer = await server.store.subscribe("default", "s", {"Order": ["Created"]}, Recorder())
    labels = "{durability=DURABLE,space=default,subscriber=s}"
    for consumers, lag in ((1, 0), (0, 1), (0, 2)):
        samples = await scrape(client)
        assert samples[f"eventuary_subscription_consumers{labels}"] == consumers
        assert samples[f"eventuary_subscription_lag{labels}"] == lag
        assert samples[f"eventuary_subscription_dead_letters{labels}"] == 0
        await consumer.close()
        await server.store.create("default", "Order", [new_event()])
    assert samples["eventuary_subscriptions_without_series"] == 0


async def test_lags_are_counted_once_for_scrapes_at_a_time(
    client: httpx.AsyncClient, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.store.subscribe("default", "s", {"Order": ["Created"]}, Recorder())
    counted = 0
    load_subscriptions = server.store.engine.load_subscriptions

    async def counting(space: str | None) -> list[SubscriptionRecord]:
        nonlocal counted
        counted += 1
        return await load_subscriptions(space)

    monkeypatch.setattr(server.store.engine, "load_subscriptions", counting)
    await asyncio.gather(*(scrape(client) for _ in range(5)))
    assert counted == 1
    await server.store.create("default", "Order", [new_event()])
    assert (await scrape(client))["eventuary_appends_total"] == 1  # what is cheap is always fresh
