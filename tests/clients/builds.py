"""Builds the programs of ``go``, ``java`` and ``node`` in a cache outside the source tree.

A build is kept under a name that the contents of its sources make, so it is made once. Where a
toolchain is not there, or packages can't be fetched, the client is ``Unavailable``; packages that
are not what their checksums say, and programs that don't compile, are failures.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

_SOURCES = Path(__file__).parent

#: Seconds in which packages are fetched, and in which a program is compiled.
_FETCHING = 80.0
_COMPILING = 240.0

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_TAMPERED = ("EINTEGRITY", "checksum mismatch", "Checksum validation failed")

#: What makes programs on the JVM start sooner, and end sooner if they are short ones.
_QUICK_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

#: Vert.x is to make no folder where it is started.
_JVM = (*_QUICK_JVM, "-Dvertx.disableFileCPResolving=true")

#: All of the standard library is compiled too: a third of the work is inlining and debug symbols.
_QUICK_GO = "-gcflags=all=-l -dwarf=false"


class Unavailable(Exception):
    """A client can't be run on this machine.

    ``expected``: whether it should have been possible. A machine may have no Go, but one that has
    it can fetch what is pinned.
    """

    def __init__(self, reason: str, *, expected: bool) -> None:
        super().__init__(reason)
        self.expected = expected


class BuildFailed(Exception):
    """A tool ended with an error; the text has what it said."""


def go_client() -> list[str]:
    """Return the command that runs it, built if need be."""
    _require("go", "Go")
    directory = _cached("go") or _build("go", _compile_go)
    return [str(directory / "client")]


def node_client() -> list[str]:
    """Return the command that runs it; it takes the STOMP client to use as a last argument."""
    _require("node", "Node.js")
    _require("npm", "npm")
    directory = _cached("node") or _build("node", _install_node)
    return ["node", str(directory / "main.js")]


def java_client() -> list[str]:
    """Return the command that runs it, built if need be."""
    _require("javac", "Java compiler")
    _require("mvn", "Maven")
    directory = _cached("java") or _build("java", _compile_java)
    classes = f"{directory / 'classes'}{os.pathsep}{directory / 'lib' / '*'}"
    return ["java", *_JVM, "-cp", classes, "eventuary.client.Program"]


def _compile_go(directory: Path) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0"}
    _fetch(["go", "mod", "download"], directory, environment)
    _run(["go", "build", _QUICK_GO, "-o", "client", "."], directory, environment)


def _install_node(directory: Path) -> None:
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retry-mintimeout=1000")
    _fetch(["npm", "ci", *options, "--fetch-retry-maxtimeout=5000"], directory)


def _compile_java(directory: Path) -> None:
    maven = ("mvn", "-B", "-q", "--strict-checksums")
    goal = "dependency:copy-dependencies"
    options = " ".join([os.environ.get("MAVEN_OPTS", ""), *_QUICK_JVM])
    environment = {**os.environ, "MAVEN_OPTS": options}
    _fetch([*maven, goal, "-DoutputDirectory=lib"], directory, environment)
    compiler = ("javac", *(f"-J{option}" for option in _QUICK_JVM), "-proc:none")
    sources = [str(path) for path in sorted(directory.glob("src/**/*.java"))]
    _run([*compiler, "--release", "11", "-cp", "lib/*", "-d", "classes", *sources], directory)


def _require(tool: str, name: str) -> None:
    if shutil.which(tool) is None:
        raise Unavailable(f"no {name} on this machine", expected=False)


def _cached(name: str) -> Path | None:
    directory = _place(name)
    return directory if directory.is_dir() else None


def _place(name: str) -> Path:
    digest = hashlib.sha256()
    for path in sorted((_SOURCES / name).rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(_SOURCES)}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "eventuary-tests" / f"{name}-{digest.hexdigest()[:16]}"


def _build(name: str, make: Callable[[Path], None]) -> Path:
    """Build, then move the whole to its place at once: what is there is complete.

    Of several processes that want it, one builds it, and the others wait.
    """
    place = _place(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
                directory = Path(temporary) / name
                shutil.copytree(_SOURCES / name, directory)
                make(directory)
                directory.rename(place)
    return place


def _fetch(
    command: Sequence[str], directory: Path, environment: dict[str, str] | None = None
) -> None:
    try:
        _run(command, directory, environment, _FETCHING)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"no packages within {_FETCHING:g} s", expected=True) from None
    except BuildFailed as error:
        if any(word in str(error) for word in _TAMPERED):
            raise
        raise Unavailable(f"packages can't be fetched: {error}", expected=True) from None


def _run(
    command: Sequence[str],
    directory: Path,
    environment: dict[str, str] | None = None,
    patience: float = _COMPILING,
) -> None:
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
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
