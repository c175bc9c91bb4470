"""What a condition is called in a report: a lambda by its text, a function by its name."""

import linecache
from collections.abc import Callable
from types import FunctionType


def text_of(condition: Callable[..., object]) -> str:
    """Return how to name a condition to whoever wrote it."""
    if isinstance(condition, FunctionType) and condition.__name__ == "<lambda>":
        return _body_of(condition) or "a lambda"
    name: str = getattr(condition, "__qualname__", None) or repr(condition)
    return name.rpartition("<locals>.")[2]


def _body_of(function: FunctionType) -> str:
    """Return a lambda's body as it was written; empty when its source can't be read."""
    code = function.__code__
    spans = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if line and end_line and column is not None and end_column
    ]
    if not spans:
        return ""
    (first, begin), (last, end) = min(each[0] for each in spans), max(each[1] for each in spans)
    lines = [
        linecache.getline(code.co_filename, number).encode() for number in range(first, last + 1)
    ]
    lines[-1] = lines[-1][:end]  # columns count bytes
    lines[0] = lines[0][begin:]
    return " ".join(b" ".join(lines).decode(errors="replace").split())
