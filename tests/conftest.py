"""Fixtures that tests of several folders use."""

from pathlib import Path

import pytest

# What tests share tells what it saw, too, when it fails: contracts, judges, clients.
pytest.register_assert_rewrite(
    *(f"tests.{each.name}" for each in Path(__file__).parent.iterdir() if each.is_dir())
)

pytest_plugins = ("tests.mongodb.fixtures",)
