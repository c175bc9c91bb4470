"""What each torture test has: a run with a seed and an end, and servers of its own."""

import sys
from typing import Protocol

import pytest

from tests.acceptance.conftest import Start, start
from tests.torture.run import Run

__all__ = ["Begin", "Start", "begin", "start"]  # `start` is a fixture, taken over as it is


class Begin(Protocol):
    """Begins the run of a test."""

    def __call__(self, seconds: float) -> Run: ...


@pytest.fixture
def begin(request: pytest.FixtureRequest) -> Begin:
    """Begin a run of so many seconds, named as the test is."""
    name: str = request.node.name
    print(file=sys.stderr)

    def beginning(seconds: float) -> Run:
        return Run(name.removeprefix("test_"), seconds)

    return beginning
