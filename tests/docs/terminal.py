"""A terminal as a reader has one: an interactive bash behind a real pseudo-terminal.

So Ctrl-C interrupts what runs in the foreground, ``&`` puts into the background, and the shell says
``Killed``, without the test imitating any of it.
"""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

#: Seconds within which whatever is waited for happens.
PATIENCE = 20.0

#: Seconds between two looks at which program has the terminal.
_LOOK_EVERY = 0.005

#: What the shell says when it is ready for the next command; nothing else says it.
_PROMPT = "\x02ready\x03"

_CTRL_C = b"\x03"

#: Makes its standard input the terminal of its session, and then becomes the shell.
_SHELL = """\
import fcntl, os, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
"""


class Terminal:
    """Starts a shell. What it says, from prompt to prompt, is taken by ``output``."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        mode = termios.tcgetattr(slave)
        mode[1] &= ~termios.ONLCR
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 50, 100, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _SHELL],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=directory,
            env={**environment, "PS1": _PROMPT, "PS2": "", "TERM": "dumb", "HISTFILE": ""},
            start_new_session=True,
        )
        os.close(slave)
        self._said = ""
        self._undecoded = b""

    @property
    def ready(self) -> bool:
        """Whether the shell waits for a command."""
        return self._said.endswith(_PROMPT)

    @property
    def said(self) -> str:
        """What was said since it was taken last."""
        return self._said.removesuffix(_PROMPT)

    def take(self) -> str:
        """Return what was said, and forget it."""
        said = self.said
        self._said = _PROMPT if self.ready else ""
        return said

    def type(self, command: str) -> None:
        """Type a command once the shell waits for one."""
        end = time.monotonic() + PATIENCE
        while not self.ready:
            assert self.listen(end), f"the shell takes no command; it says {self._said!r}"
        assert not self.said.strip("\n"), (
            f"the page does not show that the terminal says {self.said!r}"
        )
        self._said = ""
        os.write(self._master, command.encode() + b"\n")

    def interrupt(self) -> None:
        """Press Ctrl-C once a command runs: sooner, the shell may take it."""
        end = time.monotonic() + PATIENCE
        while not self.ready and not self._command_runs():
            assert time.monotonic() < end, "no command runs that could be interrupted"
            self.listen(time.monotonic() + _LOOK_EVERY)
        os.write(self._master, _CTRL_C)

    def _command_runs(self) -> bool:
        """Whether a program has the terminal, and is no longer the shell's copy that starts it."""
        group = os.tcgetpgrp(self._master)
        if group == self._process.pid:
            return False
        try:
            return Path(f"/proc/{group}/comm").read_text() != "bash\n"
        except OSError:  # it has ended; or this system has no such files
            return not Path("/proc/self/comm").exists()

    def listen(self, end: float) -> bool:
        """Wait until something more is said; False when the time ``end`` has come before."""
        if not select.select([self._master], [], [], max(0.0, end - time.monotonic()))[0]:
            return False
        self._undecoded += os.read(self._master, 65_536)
        with contextlib.suppress(UnicodeDecodeError):  # a character is not whole yet
            self._said += self._undecoded.decode().replace("\r\n", "\n")
            self._undecoded = b""
        return True

    def close(self) -> None:
        """Close the window: what still runs in it is hung up on, and ends."""
        os.close(self._master)
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
