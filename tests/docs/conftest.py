"""A reader for each test, in a folder of its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reader import Reader


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Reads pages, and does what they say."""
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"the pages use {program}, which this machine does not have")
    with Reader(tmp_path) as person:
        yield person
