"""Waiting for what nothing tells of: looked at until it holds, with a deadline."""

import time
from collections.abc import Callable

#: Seconds within which what is waited for happens.
PATIENCE = 30.0


def wait_until(
    condition: Callable[[], bool], what: str, *, patience: float = PATIENCE, every: float = 0.01
) -> None:
    """Return when ``condition`` holds. Raises AssertionError after ``patience`` seconds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not within {patience} s: {what}"
        time.sleep(every)
