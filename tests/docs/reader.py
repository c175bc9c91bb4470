"""A reader who does what a page says, word for word and in order, in a folder of their own.

Commands behind ``$`` are typed into real terminals, files are saved, STOMP frames are sent byte by
byte; and what comes of it must be what the page shows (``likeness`` says how alike).
"""

import os
import re
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.likeness import Likeness
from tests.docs.page import ROOT, Block, blocks_of
from tests.docs.stomp_wire import StompWire, printed
from tests.docs.terminal import PATIENCE, Terminal
from tests.ports import free_ports

#: Where commands are typed unless a page says otherwise; what is typed here comes to its end.
_SHELL = "shell"

#: Ports of Place Order's services in a page.
_SERVICES = ("8081", "8082", "8083", "8084", "8090")

#: Languages of files that a page has its reader save.
_FILES = {"python", "toml", "ini"}

_CHANGES_SOMETHING = re.compile(r"\s-(?:d|X|N|-json|-data|-request)\b")

#: Seconds between two looks at something that is about to happen.
_LOOK_EVERY = 0.05


class Reader:
    """One folder, its terminals and connections. ``with Reader(folder) as reader``."""

    def __init__(self, folder: Path, ports: Mapping[str, int] | None = None) -> None:
        """``ports``: what other servers that a page shows stand for."""
        self.folder = folder
        self.http_port, self.stomp_port, *services = free_ports(2 + len(_SERVICES))
        self._likeness = Likeness(
            {
                "8080": self.http_port,
                "61613": self.stomp_port,
                "61614": self.stomp_port,
                **dict(zip(_SERVICES, services, strict=True)),
                **(ports or {}),
            }
        )
        self._terminals: dict[str, Terminal] = {}
        self._wires: dict[str, StompWire] = {}
        # As after `make install` in a clone.
        programs = Path(sys.executable).parent
        (folder / ".venv").symlink_to(programs.parent)
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith("EVENTUARY_")
        }
        self._environment = {
            **kept,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "EVENTUARY_HTTP_PORT": str(self.http_port),
            "EVENTUARY_STOMP_PORT": str(self.stomp_port),
            "EVENTUARY_STORE": f"{self.url}?stomp_port={self.stomp_port}",
            "VIRTUAL_ENV_DISABLE_PROMPT": "1",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for wire in self._wires.values():
            wire.close()
        for terminal in self._terminals.values():
            terminal.close()

    @property
    def url(self) -> str:
        """Where the server's HTTP side is."""
        return f"http://127.0.0.1:{self.http_port}"

    def serve(self, options: str = "") -> None:
        """Start a server, for pages that take one for granted."""
        terminal = self._terminal("server")
        terminal.type(f"eventuary serve {options}")
        self._see(terminal, "Eventuary 0.1.0 ready: …\n", to_the_end=False)

    def interrupt(self, name: str) -> None:
        """Press Ctrl-C in a terminal."""
        self._terminal(name).interrupt()

    def read(self, name: str, *, only_files: bool = False) -> None:
        """Do what the page ``name`` says; ``only_files``: save its files, and leave the rest."""
        path = ROOT / name
        for block in blocks_of(path):
            if "not run" in block.notes:
                continue
            try:
                if block.save_as is not None:
                    (self.folder / block.save_as).write_text(self._likeness.real(block.text))
                elif not only_files:
                    self._do(block)
            except AssertionError as error:
                raise AssertionError(f"{name}:{block.line}: {error}") from error

    def finish(self) -> None:
        """Nothing that the pages don't show was said or sent."""
        for name, terminal in self._terminals.items():
            assert not terminal.said.strip("\n"), f"terminal {name} says also {terminal.said!r}"
        for name, wire in self._wires.items():
            rest = wire.rest()
            assert not rest, f"connection {name} receives also {printed(rest)!r}"

    def _do(self, block: Block) -> None:
        if block.language == "console":
            self._work_in_terminal(block)
        elif block.language == "stomp-client":
            self._wire(block).send(self._likeness.real(block.text))
        elif block.language == "stomp-server":
            wire = self._wire(block)
            actual = printed(wire.receive())
            assert self._likeness.matches(block.text, actual), _differ(block.text, actual)
            if block.notes.get("then") == "closed":
                assert not wire.receive(), "the server has more to say"
        elif block.language in _FILES:
            raise AssertionError(f"a block of {block.language} that no file is made of")

    def _wire(self, block: Block) -> StompWire:
        name = block.notes.get("connection", "first")
        if name not in self._wires:
            self._wires[name] = StompWire(self.stomp_port)
        return self._wires[name]

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            self._terminals[name] = Terminal(self.folder, self._environment)
        return self._terminals[name]

    def _work_in_terminal(self, block: Block) -> None:
        name = block.notes.get("terminal", _SHELL)
        terminal = self._terminal(name)
        lines = list(block.lines)
        if not lines[0].startswith("$ "):
            self._see(terminal, _take_shown(lines), to_the_end=False)
        while lines:
            if lines[0] == "^C":
                lines.pop(0)
                terminal.interrupt()
                # The shell may go on in a new line.
                self._see(terminal, _take_shown(lines), to_the_end=True)
                continue
            command = _take_command(lines)
            shown = _take_shown(lines)
            terminal.type(self._likeness.real(command))
            ends = name == _SHELL or bool(lines)
            again = command if _only_asks(command) else None
            self._see(terminal, shown, to_the_end=ends and lines[:1] != ["^C"], again=again)

    def _see(
        self, terminal: Terminal, shown: str, *, to_the_end: bool, again: str | None = None
    ) -> None:
        """Wait until the terminal says what the page shows, and ``to_the_end`` is ready again.

        ``again``: a question that a reader, slower than a test, asks when the answer has settled.
        """
        end = time.monotonic() + PATIENCE
        while True:
            if terminal.ready or not to_the_end:
                said = terminal.said
                if self._likeness.matches(shown, said):
                    terminal.take()
                    return
                if terminal.ready and again is not None and time.monotonic() < end:
                    terminal.take()
                    time.sleep(_LOOK_EVERY)
                    terminal.type(self._likeness.real(again))
                elif terminal.ready and to_the_end:
                    raise AssertionError(_differ(shown, said))
            if not terminal.listen(end):
                raise AssertionError(_differ(shown, terminal.said))


def _take_command(lines: list[str]) -> str:
    """Take a command off the front: its line, and those that its quotation marks span."""
    assert lines[0].startswith("$ "), f"{lines[0]!r} is neither a command nor shown behind one"
    command = lines.pop(0)[2:]
    while command.endswith("\\") or not _is_whole(command):
        command += "\n" + lines.pop(0)
    return command


def _take_shown(lines: list[str]) -> str:
    """Take what is shown up to the next command off the front."""
    shown = ""
    while lines and not lines[0].startswith("$ ") and lines[0] != "^C":
        shown += lines.pop(0) + "\n"
    return shown


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return True


def _only_asks(command: str) -> bool:
    return command.startswith(("curl ", "ls ")) and not _CHANGES_SOMETHING.search(command)


def _differ(shown: str, said: str) -> str:
    return f"the page shows\n{shown}\nand there is\n{said}"
