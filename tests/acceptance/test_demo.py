"""``make demo``: the whole story holds, it cleans up behind itself, and it can fail."""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.waiting import wait_until

_ROOT = Path(__file__).parents[2]

#: A process's line in the table of the first act.
_PROCESS = re.compile(r"│ [a-z ]+ http://127\.0\.0\.1:\d+ +(\d+) ")

#: Seconds that the story takes at most.
_PATIENCE = 90


class Demo:
    """``python -m eventuary.demo``, and what it has printed so far.

    ``held_at``: what it prints and can't go on behind, until it is let.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        sources: Path = _ROOT / "src",
        held_at: str | None = None,
    ) -> None:
        self._output = directory / "output.txt"
        self._folders = directory / "tmp"
        self._folders.mkdir()
        self._is_let = threading.Event()
        self._holder: threading.Thread | None = None
        with self._output.open("wb") as file, contextlib.ExitStack() as stack:
            output = file.fileno() if held_at is None else self._held(held_at, stack)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "eventuary.demo", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(sources), "TMPDIR": str(self._folders)},
                start_new_session=True,
            )

    def _held(self, text: str, stack: contextlib.ExitStack) -> int:
        """Return what takes one write at a time, and no more than one behind this text."""
        reading, writing = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
        stack.callback(os.close, writing)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        self._holder = threading.Thread(target=self._read, args=(reading, text))
        self._holder.start()
        return writing

    def _read(self, reading: int, held_at: str) -> None:
        with self._output.open("ab") as output, open(reading, "rb", buffering=0) as writes:
            while part := writes.read(4096):
                output.write(part)
                output.flush()
                if held_at.encode() in self._output.read_bytes():
                    self._is_let.wait()

    def let(self) -> None:
        """Let it go on; returns when it has ended."""
        self._is_let.set()
        if self._holder is not None:
            self._holder.join(_PATIENCE)

    @property
    def output(self) -> str:
        """All of it."""
        return self._output.read_text()

    def wait_for(self, text: str) -> None:
        """Return when it has printed this."""
        wait_until(
            lambda: text in self.output or self.process.poll() is not None,
            f"{text!r} in {self.output}",
            patience=_PATIENCE,
        )
        assert text in self.output, self.output

    def check_that_nothing_is_left(self) -> None:
        """None of its processes runs, and its folder is gone."""
        pids = [int(each) for each in _PROCESS.findall(self.output)]
        assert len(pids) == 5, self.output
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        assert list(self._folders.iterdir()) == []


Play = Callable[..., Demo]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Start the demonstration; it ends with the test."""
    played: list[Demo] = []

    def playing(*arguments: str, sources: Path = _ROOT / "src", held_at: str | None = None) -> Demo:
        played.append(Demo(tmp_path, *arguments, sources=sources, held_at=held_at))
        return played[-1]

    yield playing
    for demo in played:
        with contextlib.suppress(ProcessLookupError):
            demo.process.terminate()
        demo.let()
        demo.process.wait(30)


def test_the_story_holds_and_may_be_gone_on_with(play: Play) -> None:
    demo = play("--keep")
    demo.wait_for("APIs to read and to try")
    told, _, to_try = demo.output.partition("It is all yours")
    assert "NOT SO" not in told
    assert told.count("✔") >= 12
    assert max(map(len, told.splitlines())) <= 80
    for tree in (
        r"OrderCreated .*\n.*└── CreditReserved .*\n.*└── OrderApproved .*\n.*└── an e-mail ",
        r"OrderCreated .*\n.*└── CreditLimitExceeded .*\n.*└── OrderRejected ",
        r"OrderCreated .*\n.*└── CustomerUnknown .*\n.*└── OrderRejected ",
        r"OrderCancelled .*\n.*└── CreditReleased ",
    ):
        assert re.search(tree, told), tree

    # What it says can be tried by hand can be.
    commands = re.findall(r"^   ((?:curl|ls) (?:.*\\\n)*.*)$", to_try, re.MULTILINE)
    assert len(commands) == 7, to_try
    if shutil.which("curl") is None:
        commands = [each for each in commands if each.startswith("ls")]
    for command in commands:
        tried = re.sub("^curl", "curl -sSf --noproxy '*'", command)
        done = subprocess.run(
            ["sh", "-c", tried], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert done.stdout

    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(30) == 0, demo.output
    assert "NOT SO" not in demo.output
    demo.check_that_nothing_is_left()


def test_interrupted_it_takes_its_processes_along(play: Play) -> None:
    demo = play(held_at="Ready after")  # or its story might be over before it is interrupted
    demo.wait_for("Ready after")
    demo.process.terminate()
    demo.let()
    assert demo.process.wait(30) == 130
    demo.check_that_nothing_is_left()


def test_a_promise_that_is_not_kept_is_told_and_is_its_exit_code(
    play: Play, tmp_path: Path
) -> None:
    copy = tmp_path / "checkout"
    for part in ("src", "examples"):
        shutil.copytree(_ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    # Services that end, but not as they should.
    serving = copy / "examples/customers_and_orders/serving.py"
    source = serving.read_text()
    broken = re.sub(r"(uvloop\.run\(.*\)\n)", r"\1        sys.exit(3)\n", source, count=1)
    assert broken != source
    serving.write_text(broken)

    demo = play(sources=copy / "src")
    assert demo.process.wait(_PATIENCE) == 1, demo.output
    assert "✘ NOT SO: all five finish" in demo.output
    assert "1 promise was not kept" in demo.output


def test_without_the_example_it_says_so(play: Play, tmp_path: Path) -> None:
    shutil.copytree(_ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    demo = play(sources=tmp_path / "src")
    assert demo.process.wait(30) == 1
    assert "needs a checkout" in demo.output
    assert "Traceback" not in demo.output
