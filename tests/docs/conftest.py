"""A reader for each test, in a folder of their own; and one whom many tests ask."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reader import Reader


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Reads pages, and does what they say."""
    _look_for_programs()
    with Reader(tmp_path) as person:
        yield person


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Has started a server without keys, for tests that ask it and change nothing that matters."""
    _look_for_programs()
    with Reader(tmp_path_factory.mktemp("host")) as person:
        person.serve()
        yield person


def _look_for_programs() -> None:
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"the pages use {program}, which this machine does not have")
