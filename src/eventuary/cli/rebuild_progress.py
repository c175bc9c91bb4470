"""How a rebuild shows how far it is, and what it waits for."""

from types import TracebackType
from typing import Self

from eventuary.cli.event_progress import EventProgress
from eventuary.delivery.status import LAG_CAP
from eventuary.views.rebuilding import Progress


class RebuildProgress:
    """Shown on standard error, within ``with``."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = EventProgress()
        #: Events that were applied.
        self.done = 0

    def __enter__(self) -> Self:
        """Begin to show."""
        self._shown.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it away."""
        self._shown.__exit__(kind, error, trace)

    def report(self, progress: Progress) -> None:
        """Show how far it is."""
        self.done = progress.done
        self._shown.show(
            f"{self._name}.{progress.generation}",
            progress.done,
            progress.left,
            more="more than " if progress.left >= LAG_CAP else "",
            note=_note(progress),
        )


def _note(progress: Progress) -> str:
    if progress.trouble is not None:
        return f"waits: {progress.trouble}"
    if progress.dead_letters:
        return (
            f"waits at {progress.dead_letters} dead letters: mend the update and --restart, or "
            "discard them"
        )
    return ""
