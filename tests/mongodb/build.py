"""Builds the server of ``java`` in a cache outside the source tree, once for all test runs.

A build is kept under a name that the contents of its sources make. Without Java and Maven, or where
packages can't be fetched, it is ``Unavailable``; packages that are not what their checksums say,
and a program that doesn't compile, are failures.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_SOURCES = Path(__file__).parent / "java"

#: Seconds in which packages are fetched, and in which the program is compiled.
_FETCHING = 80.0
_COMPILING = 240.0

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

#: It starts sooner, and several of it fit beside each other.
_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx1g")


class Unavailable(Exception):
    """No server can be had on this machine; the text says what is missing."""


class BuildFailed(Exception):
    """A tool ended with an error; the text has what it said."""


def server_command() -> list[str]:
    """Return the command that runs the server, built if need be; PORT and FILE go behind it.

    Raises Unavailable and BuildFailed.
    """
    for tool in ("java", "javac", "mvn"):
        if shutil.which(tool) is None:
            raise Unavailable(f"no {tool} on this machine")
    directory = _place()
    if not directory.is_dir():
        _build(directory)
    classes = f"{directory / 'classes'}{os.pathsep}{directory / 'lib' / '*'}"
    return ["java", *_JVM, "-cp", classes, "eventuary.mongodb.Server"]


def _place() -> Path:
    digest = hashlib.sha256()
    for path in sorted(_SOURCES.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(_SOURCES)}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "eventuary-tests" / f"mongodb-{digest.hexdigest()[:16]}"


def _build(place: Path) -> None:
    """Of several processes that want it, one builds it, and the others wait.

    It is moved to its place as a whole: what is there is complete.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / "mongodb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
                directory = Path(temporary) / "mongodb"
                shutil.copytree(_SOURCES, directory)
                _fetch(directory)
                sources = [str(path) for path in sorted(directory.glob("src/**/*.java"))]
                options = ("--release", "17", "-proc:none", "-cp", "lib/*", "-d", "classes")
                _run(["javac", *options, *sources], directory, _COMPILING)
                directory.rename(place)


def _fetch(directory: Path) -> None:
    maven = ("mvn", "-B", "-q", "--strict-checksums", "dependency:copy-dependencies")
    try:
        _run([*maven, "-DoutputDirectory=lib"], directory, _FETCHING)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Maven fetched no packages within {_FETCHING:g} s") from None
    except BuildFailed as error:
        if "Checksum validation failed" in str(error):
            raise
        raise Unavailable(f"Maven can't fetch packages: {error}") from None


def _run(command: Sequence[str], directory: Path, patience: float) -> None:
    done = subprocess.run(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience,
        check=False,
    )
    if done.returncode != 0:
        said = _COLOUR.sub("", done.stdout).strip()
        raise BuildFailed(f"{command[0]}: {said[:2000]}")
