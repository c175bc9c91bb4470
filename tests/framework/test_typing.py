"""What a type-checker says of right and wrong uses: nothing of the ones, and of all the others.

The uses are in fixtures/usages.txt, so that they are not checked with the rest of the tests.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

USAGES = Path(__file__).parent / "fixtures" / "usages.txt"


@pytest.mark.timeout(400)
def test_mypy_complains_of_the_wrong_uses_and_of_no_others(tmp_path: Path) -> None:
    (tmp_path / "usages.py").write_text(USAGES.read_text())
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            "--no-incremental",
            "usages.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    complaints: dict[int, set[str]] = defaultdict(set)
    for line in ran.stdout.splitlines():
        if found := re.match(r"usages\.py:(\d+): error: .* \[([a-z-]+)\]$", line):
            complaints[int(found[1])].add(found[2])
    expected = {
        number: set(found[1].split(","))
        for number, line in enumerate(USAGES.read_text().splitlines(), start=1)
        if (found := re.search(r"  # error: ([a-z,-]+)$", line))
    }
    assert len(expected) > 30
    assert complaints == expected, ran.stdout + ran.stderr
