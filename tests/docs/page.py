"""A page of the documentation as a reader sees it: its fenced blocks, in order.

What a test must know beyond that stands in HTML comments before a block, which readers don't see:

- ``<!-- terminal: NAME -->``: typed into, or seen in, that terminal instead of ``shell``;
- ``<!-- connection: NAME -->``: STOMP frames of that connection instead of the first;
- ``<!-- then: closed -->``: behind this frame the server closes the connection;
- ``<!-- not run: REASON -->``: not for a test.

A block behind the words "Save this as `NAME`" is a file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"```(\S*)")
_COMMENT = re.compile(r"<!-- ([a-z ]+): (.+) -->")
_SAVE_AS = re.compile(r"Save (?:this|it) as `([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block. ``line`` is that of its fence; ``notes`` are the comments before it."""

    language: str
    lines: list[str]
    line: int
    notes: Mapping[str, str]
    save_as: str | None

    @property
    def text(self) -> str:
        """What is between the fences."""
        return "\n".join(self.lines) + "\n"


@dataclass
class _Before:
    """What was read since the last block."""

    notes: dict[str, str] = field(default_factory=dict)
    save_as: str | None = None


def blocks_of(path: Path) -> Iterator[Block]:
    """Return the blocks of a page."""
    before = _Before()
    lines = enumerate(path.read_text("utf-8").splitlines(), start=1)
    for number, line in lines:
        if (fence := _FENCE.fullmatch(line)) is not None:
            inside = []
            for _, each in lines:
                if each == "```":
                    break
                inside.append(each)
            else:
                raise ValueError(f"{path.name}:{number}: the block has no end")
            yield Block(fence[1], inside, number, before.notes, before.save_as)
            before = _Before()
        elif (comment := _COMMENT.fullmatch(line)) is not None:
            before.notes[comment[1]] = comment[2]
        elif (found := _SAVE_AS.search(line)) is not None:
            before.save_as = found[1]


def table_under(path: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, its head left out."""
    text = path.read_text("utf-8")
    match = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    if match is None:
        raise ValueError(f"{path.name}: no heading {heading!r}")
    rows = []
    for line in match[1].splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            break
    if len(rows) < 3:
        raise ValueError(f"{path.name}: no table under {heading!r}")
    return rows[2:]


def code_in(cell: str) -> list[str]:
    """Return what stands between backquotes."""
    return re.findall(r"`([^`]+)`", cell)
