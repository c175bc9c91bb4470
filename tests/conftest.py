"""Fixtures that tests of several folders use."""

from pathlib import Path

import pytest
from hypothesis import settings

# What tests share tells what it saw, too, when it fails: contracts, judges, clients.
pytest.register_assert_rewrite(
    *(f"tests.{each.name}" for each in Path(__file__).parent.iterdir() if each.is_dir())
)

# How long an example takes is the machine's business. What CI has of its own is kept.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")

pytest_plugins = ("tests.mongodb.fixtures",)
