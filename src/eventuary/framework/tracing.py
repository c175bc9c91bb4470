"""Tracing: the port through which calls and handlings are shown to a tracing system.

None is installed by default, and then nothing is done. ``eventuary.integrations.opentelemetry``
installs one.
"""

from contextlib import AbstractContextManager
from typing import Protocol, Self

from eventuary.events import LogEvent
from eventuary.framework.metadata import Metadata


class Span(Protocol):
    """What is being done, as a trace shows it."""

    def identify(self, entity_id: str) -> None:
        """Say which entity it is about, once that is known."""


class Tracing(Protocol):
    """A tracing system. Its blocks run in the task that does the work, and see its exceptions."""

    def call(
        self, verb: str, entity_type: str, entity_id: str | None
    ) -> AbstractContextManager[Span]:
        """Show a call of a repository: ``save``, ``update`` or ``load``.

        Events that are stored within the block carry the trace that its metadata name.
        """

    def handling(
        self, subscriber_id: str, event: LogEvent, came_with: Metadata
    ) -> AbstractContextManager[Span]:
        """Show the handling of an event, as a consequence of what has stored it."""


class _NoSpan:
    """Nothing is traced."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def identify(self, entity_id: str) -> None: ...


_NO_SPAN = _NoSpan()
_installed: Tracing | None = None


def install_tracing(tracing: Tracing | None) -> None:
    """Let a tracing system see all calls and handlings of this process from now on; None: none."""
    global _installed  # noqa: PLW0603 - a process has one
    _installed = tracing


def traced_call(verb: str, entity_type: str, entity_id: str | None) -> AbstractContextManager[Span]:
    """Return the block in which a repository does what it was called for."""
    return _NO_SPAN if _installed is None else _installed.call(verb, entity_type, entity_id)


def traced_handling(
    subscriber_id: str, event: LogEvent, came_with: Metadata
) -> AbstractContextManager[Span]:
    """Return the block in which an event is handled."""
    if _installed is None:
        return _NO_SPAN
    return _installed.handling(subscriber_id, event, came_with)
