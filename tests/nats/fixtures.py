"""Fixtures: one cluster for each process that runs tests, and for each test a log of its own."""

import itertools
from collections.abc import Iterator

import pytest

from tests.nats.cluster import NatsCluster

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def nats_cluster() -> Iterator[NatsCluster]:
    """A cluster that all tests of this process share; no node of it is to be stopped."""
    cluster = NatsCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def nats_url(nats_cluster: NatsCluster) -> Iterator[str]:
    """An engine's URL, of a log that nobody else uses and that is not there yet."""
    name = f"test-{next(_numbers)}"
    yield nats_cluster.url_of(name)
    nats_cluster.forget(name)


@pytest.fixture
def own_nats_cluster() -> Iterator[NatsCluster]:
    """A cluster of this test alone, started."""
    cluster = NatsCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()
