"""Fixtures that tests of several folders use, and which tests run in the same process."""

from pathlib import Path

import pytest

# What tests share tells what it saw, too, when it fails: contracts, judges, clients.
pytest.register_assert_rewrite(
    *(f"tests.{each.name}" for each in Path(__file__).parent.iterdir() if each.is_dir())
)

pytest_plugins = ("tests.mongodb.fixtures",)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process run all files with tests of NATS, and each other file be run by one.

    (``--dist loadgroup``.) The nodes of a cluster are never idle: one is enough.
    """
    files = {item.path for item in items if _needs_nats(item)}
    for item in items:
        group = "nats" if item.path in files else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def _needs_nats(item: pytest.Item) -> bool:
    """Whether a test uses the cluster that the tests of a process share, also by a parameter."""
    assert isinstance(item, pytest.Function)
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "nats_cluster" in item.fixturenames or any(
        each == "nats" or (isinstance(each, tuple) and "nats" in each) for each in parameters
    )
