"""A small file system in memory, and a ballast on it that takes what space is left."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """``ballast`` bytes of it are taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ballast = 0
        self._descriptor = os.open(path / "ballast", os.O_RDWR | os.O_CREAT)

    def fill(self, leave: int = 0) -> None:
        """Take all that is left but so many bytes."""
        for piece in (65_536, 4096):
            try:
                while True:
                    self.ballast += os.pwrite(self._descriptor, bytes(piece), self.ballast)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        self.give(leave)

    def give(self, size: int) -> None:
        """Give so many bytes back, or all that there are."""
        self.ballast = max(0, self.ballast - size)
        os.ftruncate(self._descriptor, self.ballast)

    def close(self) -> None:
        """Close the ballast."""
        os.close(self._descriptor)


@contextlib.contextmanager
def mounted(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount one; skips the test where this user may not."""
    path.mkdir()
    outcome = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path],
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode:
        pytest.skip(f"no small file system: this user may not mount one ({outcome.stderr.strip()})")
    try:
        disk = SmallDisk(path)
        yield disk
        disk.close()
    finally:
        subprocess.run(["umount", "-l", path], check=True)
